// Kernel of the memory-order conversions.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"

namespace fastconv {

struct TransposeKernels {
  // y[c * ldy + r] = x[r * ldx + c] for r < rows, c < columns. Meant for tiles that fit the
  // level-1 cache.
  void (*tile)(std::int64_t rows, std::int64_t columns, const float* x, std::int64_t ldx, float* y,
               std::int64_t ldy);
};

FASTCONV_DECLARE_KERNELS(TransposeKernels, transpose_kernels)

}  // namespace fastconv
