#include "activation/activation.hpp"

#include "simd/activation.hpp"
#include "simd/math.hpp"
#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

// y[i] = f(x[i]), and out[i] = f(a[i], b[i]).
template <class F>
FASTCONV_INLINE void map(std::int64_t n, const float* x, float* y, F f) {
  std::int64_t i = 0;
  for (; i + W <= n; i += W) store(y + i, f(load(x + i)));
  if (i < n) store_first(y + i, f(load_first(x + i, n - i)), n - i);
}

template <class F>
FASTCONV_INLINE void map(std::int64_t n, const float* a, const float* b, float* out, F f) {
  std::int64_t i = 0;
  for (; i + W <= n; i += W) store(out + i, f(load(a + i), load(b + i)));
  if (i < n) store_first(out + i, f(load_first(a + i, n - i), load_first(b + i, n - i)), n - i);
}

template <Activation::Kind kind>
void activate_kind(Activation f, std::int64_t n, const float* x, float* y) {
  map(n, x, y, [=](vf v) { return activate_as<kind>(v, f.a, f.b); });
}

void activate_all(Activation f, std::int64_t n, const float* x, float* y) {
  switch (f.kind) {
    case Activation::relu:
      return activate_kind<Activation::relu>(f, n, x, y);
    case Activation::leaky_relu:
      return activate_kind<Activation::leaky_relu>(f, n, x, y);
    case Activation::clip:
      return activate_kind<Activation::clip>(f, n, x, y);
    case Activation::none:
      return activate_kind<Activation::none>(f, n, x, y);
  }
}

void activate_backward(Activation f, std::int64_t n, const float* grad_y, const float* x,
                       float* grad_x) {
  const vf a = set1(f.a), b = set1(f.b);
  switch (f.kind) {
    case Activation::relu:
      return map(n, grad_y, x, grad_x,
                 [](vf g, vf v) { return select((vi)(v > zero()), g, zero()); });
    case Activation::leaky_relu:
      return map(n, grad_y, x, grad_x,
                 [=](vf g, vf v) { return select((vi)(v > zero()), g, a * g); });
    case Activation::clip:
      return map(n, grad_y, x, grad_x,
                 [=](vf g, vf v) { return select((vi)(v >= a) & (vi)(v <= b), g, zero()); });
    case Activation::none:
      return map(n, grad_y, grad_x, [](vf g) { return g; });
  }
}

void sigmoid_all(std::int64_t n, const float* x, float* y) {
  map(n, x, y, [](vf v) { return sigmoid(v); });
}

void sigmoid_backward(std::int64_t n, const float* grad_y, const float* y, float* grad_x) {
  map(n, grad_y, y, grad_x, [](vf g, vf v) { return g * v * (set1(1.0f) - v); });
}

void tanh_all(std::int64_t n, const float* x, float* y) {
  map(n, x, y, [](vf v) { return tanh(v); });
}

void tanh_backward(std::int64_t n, const float* grad_y, const float* y, float* grad_x) {
  map(n, grad_y, y, grad_x, [](vf g, vf v) { return g * (set1(1.0f) - v) * (set1(1.0f) + v); });
}

void prelu_rows(std::int64_t rows, std::int64_t channels, const float* x, const float* slope,
                float* y) {
  for (std::int64_t r = 0; r < rows; ++r) {
    map(channels, x + r * channels, slope, y + r * channels,
        [](vf v, vf s) { return select((vi)(v > zero()), v, s * v); });
  }
}

// grad_x and the terms of grad_slope. A lane past the end has x = 0 and g = 0, and adds nothing.
struct PreluGradients {
  vf x, slope;
};
FASTCONV_INLINE PreluGradients prelu_gradients(vf g, vf x, vf slope) {
  const vi positive = (vi)(x > zero());
  return {select(positive, g, slope * g), select(positive, zero(), g * x)};
}

void prelu_backward_rows(std::int64_t rows, std::int64_t channels, const float* grad_y,
                         const float* x, const float* slope, float* grad_x, float* grad_slope) {
  for (std::int64_t c = 0; c < channels; ++c) grad_slope[c] = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t row = r * channels;
    std::int64_t c = 0;
    for (; c + W <= channels; c += W) {
      const auto d = prelu_gradients(load(grad_y + row + c), load(x + row + c), load(slope + c));
      store(grad_x + row + c, d.x);
      store(grad_slope + c, load(grad_slope + c) + d.slope);
    }
    const std::int64_t rest = channels - c;
    if (rest == 0) continue;
    const auto d = prelu_gradients(load_first(grad_y + row + c, rest),
                                   load_first(x + row + c, rest), load_first(slope + c, rest));
    store_first(grad_x + row + c, d.x, rest);
    store_first(grad_slope + c, load_first(grad_slope + c, rest) + d.slope, rest);
  }
}

float prelu_backward_run(std::int64_t n, float slope, const float* grad_y, const float* x,
                         float* grad_x) {
  const vf s = set1(slope);
  vf total = zero();
  std::int64_t i = 0;
  for (; i + W <= n; i += W) {
    const auto d = prelu_gradients(load(grad_y + i), load(x + i), s);
    store(grad_x + i, d.x);
    total = total + d.slope;
  }
  if (i < n) {
    const auto d = prelu_gradients(load_first(grad_y + i, n - i), load_first(x + i, n - i), s);
    store_first(grad_x + i, d.x, n - i);
    total = total + d.slope;
  }
  return sum(total);
}

}  // namespace

extern const ActivationKernels activation_kernels_table;
const ActivationKernels activation_kernels_table = {
    activate_all,  activate_backward, sigmoid_all,         sigmoid_backward,  tanh_all,
    tanh_backward, prelu_rows,        prelu_backward_rows, prelu_backward_run};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
