// Convolution of pictures with one channel, and 2x2 max pooling of its result, in one pass.
//
// A first layer on grey pictures has few products for each pixel that it writes, and its few output
// channels would fill a part of a vector. So vectors run along the line here: two lines of the
// result stay in registers for some channels at a time, and only their maxima leave them.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"
#include "fastconv/conv.hpp"

namespace fastconv {

// Lines of pooled outputs of one picture. x is the picture with its padding, and may be read
// kPlaneSlack floats past the windows of a line.
struct PlaneJob {
  const float* weight;  // (kernel_h, kernel_w, channels)
  const float* bias;    // (channels), or null
  Activation activation;
  std::int64_t kernel_h, kernel_w, channels;
  std::int64_t x_row;                    // floats between lines of x
  std::int64_t lines, columns, y_pixel;  // pooled
  float* scratch;                        // channels * (columns + kPlaneSlack)
};

constexpr std::int64_t kPlaneSlack = 32;

struct PlaneKernels {
  void (*forward)(const PlaneJob& job, const float* x, float* y);
};

FASTCONV_DECLARE_KERNELS(PlaneKernels, plane_kernels)

}  // namespace fastconv
