// Kernels of optimizer steps, on n floats of each array.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"

namespace fastconv {

// g = gain * (grad + decay * p); v = momentum * v + keep * g; p -= rate * v.
struct SgdFactors {
  float decay, gain, momentum, keep, rate;
  bool nesterov, first;
};

// p = shrink * p - rate * m / (root * sqrt(s) + eps).
struct AdamFactors {
  float decay, beta1, rest1, beta2, rest2, shrink, rate, root, eps;
};

struct OptimKernels {
  // v may be null: p -= rate * g.
  void (*sgd)(const SgdFactors& f, std::int64_t n, float* p, const float* grad, float* v);
  void (*adam)(const AdamFactors& f, std::int64_t n, float* p, const float* grad, float* m,
               float* s);
  // p += share * (x - p)
  void (*average)(float share, std::int64_t n, float* p, const float* x);
  // The sum of x * x.
  float (*squares)(std::int64_t n, const float* x);
};

FASTCONV_DECLARE_KERNELS(OptimKernels, optim_kernels)

}  // namespace fastconv
