// Activation functions, element by element, and their gradients.
//
// Pointers are to floats without gaps, in any order of axes that the arguments share. An output
// may be one of the inputs; otherwise it must not overlap them. NaN goes through every function.
#pragma once

#include <cstdint>

namespace fastconv {

// What an operation may apply to its result before it writes it.
//
// none        x
// relu        max(x, 0)
// leaky_relu  x > 0 ? x : a * x
// clip        min(max(x, a), b); an infinite bound leaves that side open
struct Activation {
  enum Kind : std::int32_t { none, relu, leaky_relu, clip };
  Kind kind = none;
  float a = 0, b = 0;
};

// y = f(x).
void activate(Activation f, std::int64_t size, const float* x, float* y);

// grad_x = grad_y * f'(x): 1 where x > 0 (relu, leaky_relu) or a <= x <= b (clip), otherwise 0, or
// a for leaky_relu. For relu, and leaky_relu with a > 0, x may as well be the output.
void activate_backward(Activation f, std::int64_t size, const float* grad_y, const float* x,
                       float* grad_x);

// y = 1 / (1 + exp(-x)); grad_x = grad_y * y * (1 - y).
void sigmoid(std::int64_t size, const float* x, float* y);
void sigmoid_backward(std::int64_t size, const float* grad_y, const float* y, float* grad_x);

// y = tanh(x); grad_x = grad_y * (1 - y) * (1 + y).
void tanh(std::int64_t size, const float* x, float* y);
void tanh_backward(std::int64_t size, const float* grad_y, const float* y, float* grad_x);

// Memory (outer, channels, inner): NHWC is (n * h * w, c, 1), NCHW is (n, c, h * w), and one slope
// for all elements is (1, 1, size).
struct ChannelShape {
  std::int64_t outer, channels, inner;
};

// y = x > 0 ? x : slope[channel] * x.
void prelu(const ChannelShape& shape, const float* x, const float* slope, float* y);

// grad_x = x > 0 ? grad_y : slope[channel] * grad_y; grad_slope[channel] is overwritten with the
// sum of grad_y * x over the elements with x <= 0.
void prelu_backward(const ChannelShape& shape, const float* grad_y, const float* x,
                    const float* slope, float* grad_x, float* grad_slope);

}  // namespace fastconv
