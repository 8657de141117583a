// What the files of this folder share.
#pragma once

#include <algorithm>

#include "conv/winograd.hpp"
#include "fastconv/conv.hpp"

namespace fastconv {

inline bool is_depthwise(const Conv2dParams& p) {
  return p.groups > 1 && p.in_channels == p.groups && p.out_channels == p.groups;
}

inline Conv2dParams one_group(Conv2dParams p) {
  p.in_channels /= p.groups;
  p.out_channels /= p.groups;
  p.groups = 1;
  return p;
}

// A few rows and columns: a kernel's taps behind its channels, and back.
inline void transpose_small(const float* from, std::int64_t rows, std::int64_t columns, float* to) {
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) to[c * rows + r] = from[r * columns + c];
  }
}

// Lines of a depthwise convolution that are worth a thread.
inline std::int64_t line_grain(const Conv2dParams& p, std::int64_t width) {
  return std::max<std::int64_t>(1, 32768 / (width * p.in_channels * p.kernel_h * p.kernel_w + 1));
}

// Where packed weights are when a convolution runs: in L3 since the last run, in memory, or still
// to be packed.
enum class Weights { in_cache, from_memory, fresh };

// The algorithm that takes least time by estimate, of those that the caller allows.
ConvAlgorithm choose(ConvAlgorithm wanted, const Conv2dParams& params, std::int64_t batch,
                     PictureSize in, Weights weights);

// Throws Error unless a gradient may be computed so: directly or in the fastest way.
void check_backward(ConvAlgorithm algorithm);

// A convolution by one of Winograd's algorithms, group by group, with weights that are packed for
// it.
void run_winograd(const Conv2dParams& params, ConvAlgorithm algorithm, Winograd::Side side,
                  std::int64_t batch, PictureSize in, const float* x, const float* weight,
                  const Epilogue& epilogue, float* out);

// Computes neighbouring pixels of few output channels together, where that gains; false where it
// does not.
bool run_neighbours(const Conv2dParams& params, std::int64_t batch, PictureSize in, const float* x,
                    const float* weight, const Epilogue& epilogue, float* out);

}  // namespace fastconv
