// Gradients of a convolution of few channels whose output went through max pooling.
//
// Only the maxima have a gradient, a quarter of the pixels or fewer. So nothing is spread over the
// convolution's output: each maximum adds its share of the weights' gradient from the window of
// the picture that it saw, and its kernel to the gradient of that window.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"
#include "fastconv/conv.hpp"
#include "fastconv/pool.hpp"

namespace fastconv {

// Lines of gradients of maxima, with the index of each in its plane of the convolution's output.
struct Maxima {
  const float* grad;            // (lines, columns, channels)
  const std::int32_t* indices;  // laid out so
  std::int64_t lines, columns, channels;
  // The index of the first element of a pooling window.
  std::int64_t first, line_step, column_step;
  // For what an index is more than that: floats to move by, or -1 outside of the window.
  const std::int32_t* offsets;
  std::int64_t n_offsets;
};

// All return false where an index lies outside of its window.
struct MaximaKernels {
  // Adds grad * x to sums (channels, rows, width), rows of which are `pitch` floats apart. x is
  // where the first pooling window begins; windows of the next line and column are line_x and
  // column_x floats further, and lines of x x_row. Reads whole vectors of x.
  bool (*multiply)(const Maxima& maxima, const float* x, std::int64_t x_row, std::int64_t line_x,
                   std::int64_t column_x, std::int64_t rows, std::int64_t width, float* sums,
                   std::int64_t pitch);
  // Adds grad * weight to the same windows of x, of `rows` lines of `width` floats. Weights have
  // zeros around them, which offsets skip: w_row floats a line, w_channel a channel. Writes whole
  // vectors of x.
  bool (*scatter)(const Maxima& maxima, const float* weight, std::int64_t w_row,
                  std::int64_t w_channel, std::int64_t rows, std::int64_t width, float* x,
                  std::int64_t x_row, std::int64_t line_x, std::int64_t column_x);
};

FASTCONV_DECLARE_KERNELS(MaximaKernels, maxima_kernels)

}  // namespace fastconv
