// Convolution with 2x2 max pooling of its result in the same pass, two lines of the result at a
// time.
//
// A product of matrices with few output channels loads a float of x for each of its multiply-adds.
// Of two lines, one below the other, the windows overlap but for a line: here each float is loaded
// for both, and their maxima are taken before anything is stored.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"
#include "fastconv/activation.hpp"

namespace fastconv {

// Lines of outputs of one picture, which see whole windows of x.
struct PairJob {
  const float* weight;  // by vectors of channels: (kernel_h, kernel_k) vectors, the last with zeros
  const float* bias;    // (channels), or null
  Activation activation;
  std::int64_t kernel_h, kernel_k;  // floats of a line of the window, which lie side by side
  std::int64_t channels;
  std::int64_t x_pixel, x_row;
  std::int64_t lines, columns, y_pixel;  // of what is written
};

struct PairKernels {
  int lanes;
  void (*pooled)(const PairJob& job, const float* x, float* y);
};

FASTCONV_DECLARE_KERNELS(PairKernels, pair_kernels)

}  // namespace fastconv
