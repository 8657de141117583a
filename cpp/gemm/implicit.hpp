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
#include <vector>

#include "gemm/panels.hpp"

namespace fastconv {

struct Tap {
  std::int64_t dy, dx;
};

struct ImplicitGemm {
  // Strides in floats. Channels are contiguous.
  const float* in = nullptr;
  std::int64_t images = 1, in_h = 1, in_w = 1, channels = 0;
  std::int64_t in_pixel = 0, in_row = 0, in_image = 0;

  float* out = nullptr;
  std::int64_t out_h = 1, out_w = 1;
  std::int64_t out_pixel = 0, out_row = 0, out_image = 0;

  std::int64_t step_h = 1, step_w = 1;
  std::vector<Tap> taps;  // in the order of B's rows

  Panels b;

  float alpha = 1, beta = 0;
  const float* bias = nullptr;
  const float* residual = nullptr;  // with out's strides; may be out itself
  Activation activation;

  void run() const;

  // Estimated cycles of run() on `threads` threads. weights_stay: in L3, from run to run.
  double cost(int threads, bool weights_stay) const;
};

}  // namespace fastconv
