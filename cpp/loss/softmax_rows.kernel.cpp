// Softmax along contiguous rows: lanes hold neighbours of one row.
#include "loss/softmax.hpp"
#include "simd/math.hpp"
#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

// x where lane < n, else `other`.
FASTCONV_INLINE vf first_or(vf x, std::int64_t n, float other) {
  alignas(64) static const std::int32_t kLanes[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                      8, 9, 10, 11, 12, 13, 14, 15};
  vi lane;
  __builtin_memcpy(&lane, kLanes, sizeof lane);
  return select((vi)(lane < static_cast<std::int32_t>(n)), x, set1(other));
}

FASTCONV_INLINE float log_of(float x) { return log(set1(x))[0]; }

float row_max(std::int64_t n, const float* x) {
  vf top = set1(-__builtin_inff());
  std::int64_t i = 0;
  for (; i + W <= n; i += W) top = max_nan(top, load(x + i));
  if (i < n) top = max_nan(top, first_or(load_first(x + i, n - i), n - i, -__builtin_inff()));
  float lane[W];
  store(lane, top);
  float result = lane[0];
  for (int k = 1; k < W; ++k) result = lane[k] > result || lane[k] != lane[k] ? lane[k] : result;
  return result;
}

// sum exp(x - top); `e`, if not null, receives the terms.
float exp_sum(std::int64_t n, const float* x, float top, float* e) {
  const vf shift = set1(top);
  vf total = zero();
  std::int64_t i = 0;
  for (; i + W <= n; i += W) {
    const vf term = exp(load(x + i) - shift);
    if (e != nullptr) store(e + i, term);
    total = total + term;
  }
  if (i < n) {
    const vf term = first_or(exp(load_first(x + i, n - i) - shift), n - i, 0.0f);
    if (e != nullptr) store_first(e + i, term, n - i);
    total = total + term;
  }
  return sum(total);
}

// out[i] = f(a[i], b[i])
template <class F>
FASTCONV_INLINE void map(std::int64_t n, const float* a, const float* b, float* out, F f) {
  std::int64_t i = 0;
  for (; i + W <= n; i += W) store(out + i, f(load(a + i), load(b + i)));
  if (i < n) store_first(out + i, f(load_first(a + i, n - i), load_first(b + i, n - i)), n - i);
}

// The sum of f(a[i], b[i]), which is 0 for a = b = 0.
template <class F>
FASTCONV_INLINE float reduce(std::int64_t n, const float* a, const float* b, F f) {
  vf total = zero();
  std::int64_t i = 0;
  for (; i + W <= n; i += W) total = total + f(load(a + i), load(b + i));
  if (i < n) total = total + f(load_first(a + i, n - i), load_first(b + i, n - i));
  return sum(total);
}

void softmax(std::int64_t rows, std::int64_t classes, const float* x, float* y) {
  for (std::int64_t r = 0; r < rows; ++r, x += classes, y += classes) {
    const vf scale = set1(1.0f / exp_sum(classes, x, row_max(classes, x), y));
    map(classes, y, y, y, [=](vf e, vf) { return e * scale; });
  }
}

void softmax_backward(std::int64_t rows, std::int64_t classes, const float* grad_y, const float* y,
                      float* grad_x) {
  for (std::int64_t r = 0; r < rows; ++r, grad_y += classes, y += classes, grad_x += classes) {
    const vf dot = set1(reduce(classes, grad_y, y, [](vf g, vf v) { return g * v; }));
    map(classes, grad_y, y, grad_x, [=](vf g, vf v) { return v * (g - dot); });
  }
}

void log_softmax(std::int64_t rows, std::int64_t classes, const float* x, float* y) {
  for (std::int64_t r = 0; r < rows; ++r, x += classes, y += classes) {
    const float top = row_max(classes, x);
    const vf shift = set1(top), log_sum = set1(log_of(exp_sum(classes, x, top, nullptr)));
    map(classes, x, x, y, [=](vf v, vf) { return (v - shift) - log_sum; });
  }
}

void log_softmax_backward(std::int64_t rows, std::int64_t classes, const float* grad_y,
                          const float* y, float* grad_x) {
  for (std::int64_t r = 0; r < rows; ++r, grad_y += classes, y += classes, grad_x += classes) {
    const vf total = set1(reduce(classes, grad_y, grad_y, [](vf g, vf) { return g; }));
    map(classes, grad_y, y, grad_x, [=](vf g, vf v) { return g - exp(v) * total; });
  }
}

// The sum of top - x, which is not negative: no digits cancel.
float sum_below(std::int64_t n, const float* x, float top) {
  const vf shift = set1(top);
  vf total = zero();
  std::int64_t i = 0;
  for (; i + W <= n; i += W) total = total + (shift - load(x + i));
  if (i < n) total = total + first_or(shift - load_first(x + i, n - i), n - i, 0.0f);
  return sum(total);
}

float loss(std::int64_t classes, float smoothing, const float* x, std::int64_t target) {
  const float top = row_max(classes, x);
  float below = top - x[target];
  // Not for 0: a class whose logit is -infinity would then make it NaN.
  if (smoothing != 0.0f) {
    const float mean = sum_below(classes, x, top) / static_cast<float>(classes);
    below = (1.0f - smoothing) * below + smoothing * mean;
  }
  return below + log_of(exp_sum(classes, x, top, nullptr));
}

void loss_backward(std::int64_t classes, float smoothing, float scale, const float* x,
                   std::int64_t target, float* grad_x) {
  const float share = 1.0f / exp_sum(classes, x, row_max(classes, x), grad_x);
  const float spread = smoothing / static_cast<float>(classes);
  const float at_target = (grad_x[target] * share - (1.0f - smoothing + spread)) * scale;
  const vf factor = set1(share), weight = set1(scale), every = set1(spread);
  map(classes, grad_x, grad_x, grad_x, [=](vf e, vf) { return (e * factor - every) * weight; });
  grad_x[target] = at_target;
}

}  // namespace

extern const SoftmaxRowKernels softmax_row_kernels_table;
const SoftmaxRowKernels softmax_row_kernels_table = {
    softmax, softmax_backward, log_softmax, log_softmax_backward, loss, loss_backward};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
