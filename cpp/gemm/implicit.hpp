// Implicit GEMM: every row of A is the window of a picture that one output pixel sees.
//
//   out(n, y, x, :) = epilogue(sum_t sum_c in(n, y * step_h + dy[t], x * step_w + dx[t], c) * B(t *
//   C + c, :))
//
// where `in` is zero outside its picture. A convolution's forward pass is this with one tap per
// kernel position; its input gradient too, one phase of the stride at a time; a plain matrix
// product is the case of one tap and one line of M pixels. No row of A is ever written out: tiles
// read the picture in place, or, where padding needs zeros around it, from a strip of it that was
// copied to L2 with the zeros.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "fastconv/gemm.hpp"
#include "gemm/panels.hpp"

namespace fastconv {

struct Tap {
  std::int64_t dy, dx;
};

// The memory of one run.
struct GemmOperands {
  const float* in;
  const float* panels;  // B, packed
  float* out;
  const float* bias = nullptr;      // by column, or null
  const float* residual = nullptr;  // with out's strides, or null; may be out itself
  NextWeights next = {};
};

class GemmPlan;

struct ImplicitGemm {
  // Strides in floats. Channels are contiguous.
  std::int64_t images = 1, in_h = 1, in_w = 1, channels = 0;
  std::int64_t in_pixel = 0, in_row = 0, in_image = 0;

  std::int64_t out_h = 1, out_w = 1;
  std::int64_t out_pixel = 0, out_row = 0, out_image = 0;

  std::int64_t step_h = 1, step_w = 1;
  std::vector<Tap> taps;  // in the order of B's rows

  const TileKernels* kernels = nullptr;
  std::int64_t k = 0, n = 0;  // rows and columns of B

  float alpha = 1, beta = 0;
  Activation activation;

  // Plans and runs.
  void run(const GemmOperands& operands) const;
};

// How one problem is cut, for so many threads; any number of runs may use it at the same time.
class GemmPlan {
 public:
  GemmPlan(const ImplicitGemm& problem, int threads);
  ~GemmPlan();
  GemmPlan(GemmPlan&&) noexcept;
  GemmPlan& operator=(GemmPlan&&) noexcept;

  void run(const GemmOperands& operands) const;

  // Estimated cycles of a run. weights_stay: in L3, from run to run.
  double cycles(bool weights_stay) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;  // null where there is nothing to compute
};

}  // namespace fastconv
