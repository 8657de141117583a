// Kernels of batch norm.
//
// Where channels are few, several rows are seen as one: a matrix of `columns` floats a row, whose
// parameters repeat the channels'.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"
#include "fastconv/activation.hpp"

namespace fastconv {

// One value a column.
struct AffineColumns {
  const float *mean, *scale, *shift;
};
struct GradientColumns {
  const float *mean, *slope, *grad_mean, *scale;
};

struct BatchNormKernels {
  // y = activation((x - mean) * scale + shift) for `length` floats from the start of a row on.
  void (*normalise)(const float* x, std::int64_t length, std::int64_t columns,
                    const AffineColumns& parameters, const Activation& activation, float* y);
  // grad_x = (grad_y - grad_mean - (x - mean) * slope) * scale, likewise.
  void (*gradient)(const float* grad_y, const float* x, std::int64_t length, std::int64_t columns,
                   const GradientColumns& parameters, float* grad_x);

  // Down each column of rows x columns floats: about the mean m, and the sums of x - m and of
  // (x - m)**2. rows >= 1; reads x twice.
  void (*moments)(const float* x, std::int64_t rows, std::int64_t columns, float* m, float* sum,
                  float* squares);
  // Down each column: the sums of grad_y and of grad_y * (x - mean).
  void (*gradient_sums)(const float* grad_y, const float* x, std::int64_t rows,
                        std::int64_t columns, const float* mean, float* sum, float* products);
};

FASTCONV_DECLARE_KERNELS(BatchNormKernels, batch_norm_kernels)

}  // namespace fastconv
