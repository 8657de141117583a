// The roof: how many multiply-adds a core can do when nothing else is in the way.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"

namespace fastconv {

struct PeakKernels {
  // Runs `rounds` rounds of independent multiply-adds in registers; returns how many FLOP it did.
  // The sink keeps the compiler from leaving them out.
  std::int64_t (*fma)(std::int64_t rounds, float* sink);
};

FASTCONV_DECLARE_KERNELS(PeakKernels, peak_kernels)

}  // namespace fastconv
