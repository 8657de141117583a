// Kernels of the arithmetic on arrays of one shape.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"
#include "fastconv/elementwise.hpp"

namespace fastconv {

struct ElementwiseKernels {
  void (*add)(Activation f, std::int64_t n, const float* x, const float* y, float* out);
};

FASTCONV_DECLARE_KERNELS(ElementwiseKernels, elementwise_kernels)

}  // namespace fastconv
