// B of a GEMM packed in panels (see tile.hpp), in memory that somebody else owns.
#pragma once

#include <cstdint>
#include <vector>

#include "core/threads.hpp"
#include "gemm/tile.hpp"

namespace fastconv {

struct Panels {
  const TileKernels* kernels = nullptr;
  float* data = nullptr;
  std::int64_t k = 0, n = 0;

  std::int64_t count() const { return ceil_div(n, kernels->nr); }
  std::int64_t stride() const { return k * kernels->nr; }

  // Floats that panels of a k x n matrix take.
  static std::int64_t floats(const TileKernels& kernels, std::int64_t k, std::int64_t n) {
    return k * round_up(n, kernels.nr);
  }

  // B(i, j) = src[i * k_stride + j * n_stride], one of the strides 1. Uses all threads.
  void pack(const float* src, std::int64_t k_stride, std::int64_t n_stride) const;

  // B(t * channels + c, j) = src[j * channels * taps + c * taps + order[t]]: convolution weights
  // (O, I, KH, KW) with taps = KH * KW.
  void pack_taps(const float* src, std::int64_t channels, std::int64_t taps,
                 const std::vector<std::int64_t>& order) const;

  // B(t * out_channels + o, j) = src[o * in_channels * taps + j * taps + order[t]]: the same
  // weights for the input gradient.
  void pack_taps_back(const float* src, std::int64_t out_channels, std::int64_t in_channels,
                      std::int64_t taps, const std::vector<std::int64_t>& order) const;
};

}  // namespace fastconv
