// Arithmetic on arrays of one shape.
#pragma once

#include <cstdint>

#include "fastconv/activation.hpp"

namespace fastconv {

// out = f(x + y), over memory without gaps and in one order; out may be x or y.
void add(Activation f, std::int64_t size, const float* x, const float* y, float* out);

}  // namespace fastconv
