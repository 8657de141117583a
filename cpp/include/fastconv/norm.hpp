// Normalisation: batch norm (Ioffe and Szegedy 2015) and local response norm (Krizhevsky et al.
// 2012), forward and backward.
//
// x, y and their gradients are `rows` x `channels` matrices in C order: pictures (N, H, W, C) have
// N * H * W rows. Parameters and statistics hold one value a channel. weight or bias may be null:
// ones and zeros. Outputs are written whole and never read before. Functions throw Error on values
// that break the rules below.
#pragma once

#include <cstdint>

#include "fastconv/activation.hpp"

namespace fastconv {

struct NormShape {
  std::int64_t rows, channels;
};

// y = activation((x - mean) / sqrt(var + eps) * weight + bias), eps >= 0. y may be x.
void batch_norm(const NormShape& shape, const float* x, const float* mean, const float* var,
                const float* weight, const float* bias, float eps, const Activation& activation,
                float* y);

// The same with the mean and the biased variance of x's own rows, which are written too, and with
// a residual, or null, that is added before the activation. At least one row. y may be x or the
// residual.
void batch_norm_training(const NormShape& shape, const float* x, const float* weight,
                         const float* bias, float eps, const Activation& activation,
                         const float* residual, float* y, float* mean, float* var);

// Gradients of either. training: mean and var are those of x, and x moves them; otherwise they are
// constants. relu: grad_y is the gradient behind batch_norm_training with a ReLU. What that gave is
// y, or, where y is null and there was no residual, follows again from x and the bias, which is
// faster. grad_residual, or null, as it is without y, receives what passes the ReLU. grad_x or
// grad_residual may be grad_y.
void batch_norm_backward(const NormShape& shape, const float* grad_y, const float* x,
                         const float* mean, const float* var, const float* weight, float eps,
                         bool training, bool relu, const float* bias, const float* y, float* grad_x,
                         float* grad_weight, float* grad_bias, float* grad_residual);

// scale(c) = k + alpha / size * sum of x**2 over channels c - size / 2 .. c + (size - 1) / 2;
// size >= 1.
struct LocalResponse {
  std::int64_t size;
  float alpha = 1e-4f, beta = 0.75f, k = 1.0f;
};

// y = x / scale**beta. y may be x.
void local_response_norm(const NormShape& shape, const LocalResponse& response, const float* x,
                         float* y);

// grad_x may be grad_y, not x.
void local_response_norm_backward(const NormShape& shape, const LocalResponse& response,
                                  const float* grad_y, const float* x, float* grad_x);

}  // namespace fastconv
