// Matrix products in single precision.
#pragma once

#include <cstdint>
#include <memory>

#include "fastconv/activation.hpp"

namespace fastconv {

// What follows the product, in this order. Null pointers leave a step out.
struct Epilogue {
  const float* bias = nullptr;      // one value per column
  const float* residual = nullptr;  // laid out as the result
  Activation activation;
};

// C = activation(alpha * op(A) * op(B) + beta * C + bias + residual), all row-major.
//   op(A) is m x k: A is (m, k) with rows lda apart, or (k, m) if trans_a.
//   op(B) is k x n: B is (k, n) with rows ldb apart, or (n, k) if trans_b.
//   C is (m, n) with rows ldc apart, and overlaps none of the inputs. beta 0 never reads it.
// Sizes may be 0. Throws Error for negative sizes or leading dimensions that are too small.
struct GemmShape {
  std::int64_t m, n, k;
  bool trans_a = false, trans_b = false;
  std::int64_t lda, ldb, ldc;
};
void gemm(const GemmShape& shape, float alpha, const float* a, const float* b, float beta, float* c,
          const Epilogue& epilogue = {});

// Packed weights that will be read after those of a run. They are fetched from memory while the run
// computes its last tiles: member i of n fetches from floats * i / n on.
struct NextWeights {
  const float* data = nullptr;
  std::int64_t floats = 0;

  const float* from(std::int64_t i, std::int64_t n) const {
    return data == nullptr ? nullptr : data + floats * i / n / 16 * 16;
  }
};

// How a layer keeps its weights. bf16 rounds each to 8 significant bits (relative error up to
// 2^-9 a weight) and halves the memory that a small batch waits for; arithmetic stays in fp32.
enum class WeightType { fp32, bf16 };

// A fully connected layer's weights, packed once: out = activation(x * weight^T + bias).
class PackedLinear {
 public:
  // weight (out_features, in_features), bias (out_features) or null; both are copied.
  PackedLinear(const float* weight, const float* bias, std::int64_t out_features,
               std::int64_t in_features, Activation activation = {},
               WeightType type = WeightType::fp32);
  ~PackedLinear();
  PackedLinear(PackedLinear&&) noexcept;
  PackedLinear& operator=(PackedLinear&&) noexcept;

  // x (rows, in_features), out (rows, out_features), both dense. Safe from several threads.
  void run(const float* x, std::int64_t rows, float* out, const NextWeights& next = {}) const;

  // For the run before; empty where weights are bf16.
  NextWeights weights() const;

  std::int64_t in_features() const;
  std::int64_t out_features() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fastconv
