// Kernels of local response norm.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"

namespace fastconv {

// `rows` rows of `channels` floats. Channel c's window is c - before .. c + after, where both are
// less than `channels`; alpha is already divided by the window's size.
struct LocalResponseRows {
  std::int64_t rows, channels;
  std::int64_t before, after;
  float alpha, beta, k;
  float* scratch;            // two rows of scratch_row floats
  std::int64_t scratch_row;  // at least before + channels + after + 16
};

struct LocalResponseKernels {
  void (*forward)(const LocalResponseRows& rows, const float* x, float* y);
  void (*backward)(const LocalResponseRows& rows, const float* grad_y, const float* x,
                   float* grad_x);
};

FASTCONV_DECLARE_KERNELS(LocalResponseKernels, local_response_kernels)

}  // namespace fastconv
