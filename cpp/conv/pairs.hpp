// Convolution with 2x2 max pooling of its result in the same pass, two lines of the result at a
// time.
//
// A product of matrices with few output channels loads a float of x for each of its multiply-adds.
// Of two lines, one below the other, the windows overlap but for a line: here each float is loaded
// for both, and their maxima are taken before anything is stored.
//
// Windows 5 wide can have Winograd's F(2, 5) along the line: 6 products for two pixels instead of
// 10. The two pixels are those that a maximum is taken of. Lines are transformed once for all
// windows and output channels that see them. (F(2, 3), 4 products instead of 6, gained nothing.)
// Windows of 5x5 can have it down the columns as well: 36 products for the four pixels of a
// maximum.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"
#include "core/threads.hpp"
#include "fastconv/activation.hpp"

namespace fastconv {

constexpr std::int64_t kLinePoints = 6;

// Lines of outputs of one picture, which see whole windows of x.
struct PairJob {
  // By vectors of channels, the last with zeros: (kernel_h, kernel_k) vectors, or Winograd's
  // (kLinePoints, kernel_h, x_pixel), in both directions (kLinePoints, x_pixel, kLinePoints).
  const float* weight;
  const float* bias;  // (channels), or null
  Activation activation;
  std::int64_t kernel_h, kernel_k;  // floats of a line of the window, which lie side by side
  std::int64_t channels;
  std::int64_t x_pixel, x_row;
  std::int64_t lines, columns, y_pixel;  // of what is written
  float* v;  // Winograd's scratch: kLinePoints * line_floats(columns, x_pixel) a line of x
};

// Floats of one point of a transformed line: pixels as they were, of which every second is used.
inline std::int64_t line_floats(std::int64_t columns, std::int64_t x_pixel) {
  return round_up(2 * columns * x_pixel, 16);
}

// Of F(2 x 2, 5 x 5): windows of a maximum at a time; floats of one point of a transformed line,
// one pixel of every pair; of the even or the odd pixels of a line; of scratch for `rows` lines of
// x.
constexpr std::int64_t kMostSquares = 5;
inline std::int64_t square_floats(std::int64_t columns, std::int64_t x_pixel) {
  return round_up(columns * x_pixel, 16);
}
inline std::int64_t half_line_floats(std::int64_t columns, std::int64_t x_pixel) {
  return square_floats(columns, x_pixel) + round_up(2 * x_pixel + 16, 16);
}
inline std::int64_t square_scratch(std::int64_t rows, std::int64_t columns, std::int64_t x_pixel) {
  return rows * kLinePoints * square_floats(columns, x_pixel) +
         4 * half_line_floats(columns, x_pixel) +
         kLinePoints * kLinePoints * square_floats(kMostSquares, x_pixel);
}

struct PairKernels {
  int lanes;
  void (*pooled)(const PairJob& job, const float* x, float* y);
  void (*winograd)(const PairJob& job, const float* x, float* y);  // pooled, too
  // In both directions, or null where that is no gain.
  void (*squares)(const PairJob& job, const float* x, float* y);
  // Taps (kernel_h, 5, floats) to Winograd's (kLinePoints, kernel_h, floats).
  void (*line_weights)(const float* taps, std::int64_t kernel_h, std::int64_t floats, float* u);
};

FASTCONV_DECLARE_KERNELS(PairKernels, pair_kernels)

}  // namespace fastconv
