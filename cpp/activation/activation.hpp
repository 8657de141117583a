// Kernels of the activations, each over a piece of memory.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"
#include "fastconv/activation.hpp"

namespace fastconv {

struct ActivationKernels {
  void (*activate)(Activation f, std::int64_t n, const float* x, float* y);
  void (*activate_backward)(Activation f, std::int64_t n, const float* grad_y, const float* x,
                            float* grad_x);
  void (*sigmoid)(std::int64_t n, const float* x, float* y);
  void (*sigmoid_backward)(std::int64_t n, const float* grad_y, const float* y, float* grad_x);
  void (*tanh)(std::int64_t n, const float* x, float* y);
  void (*tanh_backward)(std::int64_t n, const float* grad_y, const float* y, float* grad_x);

  // (rows, channels), one slope per column.
  void (*prelu_rows)(std::int64_t rows, std::int64_t channels, const float* x, const float* slope,
                     float* y);
  // Also overwrites grad_slope[channels] with the sums over these rows.
  void (*prelu_backward_rows)(std::int64_t rows, std::int64_t channels, const float* grad_y,
                              const float* x, const float* slope, float* grad_x, float* grad_slope);
  // Elements of one channel; returns their part of its grad_slope.
  float (*prelu_backward_run)(std::int64_t n, float slope, const float* grad_y, const float* x,
                              float* grad_x);
};

FASTCONV_DECLARE_KERNELS(ActivationKernels, activation_kernels)

}  // namespace fastconv
