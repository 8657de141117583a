// Sums over windows: the reverse of reading them.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"
#include "fastconv/conv.hpp"

namespace fastconv {

// For each pixel of a convolution's output, what it adds to its window of the picture: rows of
// (kernel_h, kernel_w, in_channels), `pitch` floats apart. One group, no dilation along lines.
struct WindowSums {
  Conv2dParams p;
  PictureSize in, out;
  std::int64_t pitch;
};

struct WindowKernels {
  // Adds the rows of output lines [begin, end) to one picture.
  void (*add)(const WindowSums& sums, const float* rows, std::int64_t begin, std::int64_t end,
              float* picture);
};

FASTCONV_DECLARE_KERNELS(WindowKernels, window_kernels)

}  // namespace fastconv
