// Optimizer steps: one pass over all parameters, their gradients and what is remembered of them.
// And the sum that gradients are clipped by.
#pragma once

#include <cstdint>

namespace fastconv {

// A parameter, and what its step reads and writes beside it: arrays of `size` floats without gaps
// and in one order. No two arrays of a call may overlap.
struct StepArrays {
  std::int64_t size;
  float* param;             // read and written
  const float* grad;        // an average's step: what it moves towards
  float* mean = nullptr;    // SGD's velocity, Adam's running mean of the gradient
  float* square = nullptr;  // Adam's running mean of the gradient's square
};

// g = grad + weight_decay * param, times lr if lr_in_velocity (Caffe's convention);
// velocity = momentum * velocity + (1 - dampening) * g, or g if this is the first step, which
// does not read it; param -= lr * velocity (lr_in_velocity: velocity), and with nesterov
// g + momentum * velocity in the velocity's place.
struct Sgd {
  double lr;
  double momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false, first = false, lr_in_velocity = false;
};

// Every array has a velocity, or none has: then param -= lr * g, and momentum must be 0.
void sgd_step(const Sgd& options, std::int64_t count, const StepArrays* arrays);

// Adam's step number `step` (from 1), with g = grad + weight_decay * param; AdamW's if decoupled:
// then g = grad, and param is scaled by 1 - lr * weight_decay first.
//   mean = beta1 * mean + (1 - beta1) * g; square = beta2 * square + (1 - beta2) * g**2;
//   param -= lr * mean / (1 - beta1**step) / (sqrt(square / (1 - beta2**step)) + eps)
struct Adam {
  std::int64_t step;
  double lr, beta1, beta2, eps, weight_decay = 0;
  bool decoupled = false;
};

void adam_step(const Adam& options, std::int64_t count, const StepArrays* arrays);

// param += (1 - decay) * (grad - param): `param` is an exponential moving average of `grad`.
void average_step(double decay, std::int64_t count, const StepArrays* arrays);

// The sum of all squares of arrays[k][0 .. sizes[k]), added in one order at any number of threads.
double sum_of_squares(std::int64_t count, const std::int64_t* sizes, const float* const* arrays);

}  // namespace fastconv
