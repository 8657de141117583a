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
  const float *slope, *grad_mean;
};

// How a gradient is taken back through a ReLU: not at all, by what it gave, or by that again
// computed from x.
enum class Relu { none, by_output, again };

// `length` floats from the start of a row on; residual may be null. stream: past the caches.
struct NormaliseJob {
  const float *x, *residual;
  std::int64_t length, columns;
  Activation activation;
  float* y;
  bool stream;
};

struct BatchNormKernels {
  // y = activation((x - mean) * scale + shift + residual).
  void (*normalise)(const NormaliseJob& job, const AffineColumns& parameters);
  // grad_x = (g - grad_mean - (x - mean) * slope) * scale for `length` floats, where g is grad_y,
  // or, behind a ReLU, grad_y where y > 0, or where (x - mean) * scale + shift > 0, and 0
  // elsewhere.
  void (*gradient)(Relu relu, const float* grad_y, const float* y, const float* x,
                   std::int64_t length, std::int64_t columns, const AffineColumns& parameters,
                   const GradientColumns& gradients, float* grad_x);

  // Down each column of rows x columns floats: about the mean m, and the sums of x - m and of
  // (x - m)**2. rows >= 1; reads x twice.
  void (*moments)(const float* x, std::int64_t rows, std::int64_t columns, float* m, float* sum,
                  float* squares);
  // Down each column: the sums of g and of g * (x - mean). Writes g as well unless `masked` is
  // null.
  void (*gradient_sums)(Relu relu, const float* grad_y, const float* y, const float* x,
                        std::int64_t rows, std::int64_t columns, const AffineColumns& parameters,
                        float* sum, float* products, float* masked);
};

FASTCONV_DECLARE_KERNELS(BatchNormKernels, batch_norm_kernels)

}  // namespace fastconv
