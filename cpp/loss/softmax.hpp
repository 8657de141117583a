// Kernels of softmax and cross entropy.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"

namespace fastconv {

// Matrices of `classes` values without gaps per row. Loss and gradient are those of cross entropy
// for rows whose target is a class; `smoothing` is its label smoothing.
struct SoftmaxRowKernels {
  void (*softmax)(std::int64_t rows, std::int64_t classes, const float* x, float* y);
  void (*softmax_backward)(std::int64_t rows, std::int64_t classes, const float* grad_y,
                           const float* y, float* grad_x);
  void (*log_softmax)(std::int64_t rows, std::int64_t classes, const float* x, float* y);
  void (*log_softmax_backward)(std::int64_t rows, std::int64_t classes, const float* grad_y,
                               const float* y, float* grad_x);
  float (*loss)(std::int64_t classes, float smoothing, const float* x, std::int64_t target);
  void (*loss_backward)(std::int64_t classes, float smoothing, float scale, const float* x,
                        std::int64_t target, float* grad_x);
};

FASTCONV_DECLARE_KERNELS(SoftmaxRowKernels, softmax_row_kernels)

// The same down the columns of a matrix (classes, columns) whose rows are `stride` apart.
struct SoftmaxColumnKernels {
  void (*softmax)(std::int64_t classes, std::int64_t columns, std::int64_t stride, const float* x,
                  float* y);
  void (*softmax_backward)(std::int64_t classes, std::int64_t columns, std::int64_t stride,
                           const float* grad_y, const float* y, float* grad_x);
  void (*log_softmax)(std::int64_t classes, std::int64_t columns, std::int64_t stride,
                      const float* x, float* y);
  void (*log_softmax_backward)(std::int64_t classes, std::int64_t columns, std::int64_t stride,
                               const float* grad_y, const float* y, float* grad_x);
};

FASTCONV_DECLARE_KERNELS(SoftmaxColumnKernels, softmax_column_kernels)

}  // namespace fastconv
