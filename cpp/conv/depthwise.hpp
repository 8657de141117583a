// Depthwise convolution: one input channel, one kernel and one output channel each.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"
#include "fastconv/conv.hpp"

namespace fastconv {

struct DepthwiseJob {
  Conv2dParams p;  // in_channels == out_channels == groups
  std::int64_t batch;
  PictureSize in, out;
  const float* weight;            // (kernel_h * kernel_w, channels): channels contiguous
  std::int64_t x_pixel, y_pixel;  // floats between pixels
};

struct DepthwiseKernels {
  // Output lines [begin, end) of batch * out.h.
  void (*forward)(const DepthwiseJob& job, const float* x, const Epilogue& epilogue,
                  std::int64_t begin, std::int64_t end, float* y);
  // Input lines [begin, end) of batch * in.h.
  void (*backward_input)(const DepthwiseJob& job, const float* grad_y, std::int64_t begin,
                         std::int64_t end, float* grad_x);
  // Channels [begin, end); grad_weight is laid out as weight.
  void (*backward_weight)(const DepthwiseJob& job, const float* grad_y, const float* x,
                          std::int64_t begin, std::int64_t end, float* grad_weight);
};

FASTCONV_DECLARE_KERNELS(DepthwiseKernels, depthwise_kernels)

}  // namespace fastconv
