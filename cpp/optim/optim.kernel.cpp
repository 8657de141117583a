// Optimizer steps. Memory sets their speed: every array is read once and written once.
#include "optim/optim.hpp"

#include "simd/lanes.hpp"
#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

enum class Velocity { none, first, running };

template <Velocity velocity, bool nesterov>
void sgd_as(const SgdFactors& f, std::int64_t n, float* p, const float* grad, float* v) {
  const vf decay = set1(f.decay), gain = set1(f.gain), momentum = set1(f.momentum);
  const vf keep = set1(f.keep), rate = set1(-f.rate);
  for_vectors(n, [=](std::int64_t i, auto at) {
    const vf value = at(p + i);
    const vf g = fma(decay, value, at(grad + i)) * gain;
    vf change = g;
    if (velocity != Velocity::none) {
      vf moving = g;
      if (velocity == Velocity::running) moving = fma(momentum, at(v + i), g * keep);
      at(v + i, moving);
      change = nesterov ? fma(momentum, moving, g) : moving;
    }
    at(p + i, fma(rate, change, value));
  });
}

template <Velocity velocity>
void sgd_with(const SgdFactors& f, std::int64_t n, float* p, const float* grad, float* v) {
  return f.nesterov ? sgd_as<velocity, true>(f, n, p, grad, v)
                    : sgd_as<velocity, false>(f, n, p, grad, v);
}

void sgd(const SgdFactors& f, std::int64_t n, float* p, const float* grad, float* v) {
  if (v == nullptr) return sgd_as<Velocity::none, false>(f, n, p, grad, v);
  return f.first ? sgd_with<Velocity::first>(f, n, p, grad, v)
                 : sgd_with<Velocity::running>(f, n, p, grad, v);
}

void adam(const AdamFactors& f, std::int64_t n, float* p, const float* grad, float* m, float* s) {
  const vf decay = set1(f.decay), beta1 = set1(f.beta1), rest1 = set1(f.rest1);
  const vf beta2 = set1(f.beta2), rest2 = set1(f.rest2), shrink = set1(f.shrink);
  const vf rate = set1(-f.rate), root = set1(f.root), eps = set1(f.eps);
  for_vectors(n, [=](std::int64_t i, auto at) {
    const vf value = at(p + i);
    const vf g = fma(decay, value, at(grad + i));
    const vf mean = fma(beta1, at(m + i), rest1 * g);
    const vf square = fma(beta2, at(s + i), rest2 * g * g);
    at(m + i, mean);
    at(s + i, square);
    // Lanes that are not stored divide 0 by eps, which may be 0: a NaN that nobody sees.
    const vf change = mean / fma(sqrt(square), root, eps);
    at(p + i, fma(rate, change, value * shrink));
  });
}

void average(float share, std::int64_t n, float* p, const float* x) {
  const vf part = set1(share);
  for_vectors(n, [=](std::int64_t i, auto at) {
    const vf value = at(p + i);
    at(p + i, fma(part, at(x + i) - value, value));
  });
}

float squares(std::int64_t n, const float* x) {
  constexpr int kSums = 4;  // independent ones: an addition takes four cycles
  vf sums[kSums] = {};
  std::int64_t i = 0;
  for (; i + kSums * W <= n; i += kSums * W) {
    for (int k = 0; k < kSums; ++k) {
      const vf v = load(x + i + k * W);
      sums[k] = fma(v, v, sums[k]);
    }
  }
  for_vectors(n - i, [&](std::int64_t k, auto at) {
    const vf v = at(x + i + k);
    sums[0] = fma(v, v, sums[0]);
  });
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

}  // namespace

extern const OptimKernels optim_kernels_table;
const OptimKernels optim_kernels_table = {sgd, adam, average, squares};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
