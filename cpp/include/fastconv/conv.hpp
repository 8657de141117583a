// Two-dimensional convolution (cross-correlation, as in every deep-learning framework) in single
// precision, forward and backward.
//
// Pictures are dense (batch, height, width, channels); weights are dense
// (out_channels, in_channels / groups, kernel_h, kernel_w). Outputs overlap no argument but, where
// it says so, the residual.
#pragma once

#include <cstdint>
#include <memory>

#include "fastconv/gemm.hpp"
#include "fastconv/pool.hpp"

namespace fastconv {

struct Conv2dParams {
  std::int64_t in_channels, out_channels, kernel_h, kernel_w;
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
  std::int64_t dilation_h = 1, dilation_w = 1;
  std::int64_t groups = 1;
};

struct PictureSize {
  std::int64_t h, w;
};

// floor((in + padding - dilation * (kernel - 1) - 1) / stride) + 1 on each axis. Throws Error for
// parameters that no convolution has, and for pictures smaller than the kernel.
PictureSize conv2d_output_size(const Conv2dParams& params, std::int64_t batch, PictureSize in);

// How a convolution computes. `direct` multiplies exactly what the formula says; the
// Winograd algorithms, for square kernels of more than 2 and at most 5 strides, multiply 2.25 (5x5:
// 2.8), 4 (6.2) or, of at most 3 strides, 5.1 times less and lose about one decimal digit;
// `fastest` chooses among all by estimated time, for each size of picture, and computes
// neighbouring pixels of few channels together.
enum class ConvAlgorithm { direct, fastest, winograd2, winograd4, winograd6 };

// What PackedConv2d takes as the fastest for a batch of pictures.
ConvAlgorithm fastest_algorithm(const Conv2dParams& params, std::int64_t batch, PictureSize in,
                                bool weights_stay);

// Weights and bias packed once for many runs. Safe to run from several threads at once.
class PackedConv2d {
 public:
  // bias (out_channels) or null; both arrays are copied. batch and in are what to expect,
  // for the choice of an algorithm: weights are packed only for the one that is chosen.
  // weights_stay: whether a cache still holds them when they are needed again, or whether, as in
  // a large network, they come from memory.
  PackedConv2d(const Conv2dParams& params, const float* weight, const float* bias,
               Activation activation = {}, ConvAlgorithm algorithm = ConvAlgorithm::direct,
               std::int64_t batch = 1, PictureSize in = {0, 0}, bool weights_stay = true);
  ~PackedConv2d();
  PackedConv2d(PackedConv2d&&) noexcept;
  PackedConv2d& operator=(PackedConv2d&&) noexcept;

  // out = activation(conv(x) + bias + residual); residual is laid out as out, or null, and may be
  // out itself.
  void run(const float* x, std::int64_t batch, PictureSize in, const float* residual,
           float* out) const;

  // The same with pixels x_pixel and out_pixel floats apart: slices of wider pictures. residual is
  // laid out as out.
  void run(const float* x, std::int64_t x_pixel, std::int64_t batch, PictureSize in,
           const float* residual, float* out, std::int64_t out_pixel,
           const NextWeights& next = {}) const;

  // The maxima of 2x2 windows of the result, an odd last line or column left out: by Winograd's
  // algorithms of stride 1 in one pass, otherwise one after the other.
  void run_pooled(const float* x, std::int64_t x_pixel, std::int64_t batch, PictureSize in,
                  float* out, std::int64_t out_pixel, const NextWeights& next = {}) const;

  // What is read first, for the run before.
  NextWeights weights() const;

  const Conv2dParams& params() const;
  ConvAlgorithm algorithm() const;  // the one chosen

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A convolution of stride 1, dilation 1 and one group, its activation, and max pooling of 2x2
// windows of the result (an odd last line or column is left out), in one pass: for layers with few
// input channels. `fastest` allows Winograd's algorithm along lines, or in both directions,
// winograd2, where it pays. Safe to run from several threads at once.
class PooledConv2d {
 public:
  // As PackedConv2d. The activation must not fall anywhere.
  PooledConv2d(const Conv2dParams& params, const float* weight, const float* bias,
               Activation activation, ConvAlgorithm algorithm = ConvAlgorithm::direct);
  ~PooledConv2d();

  const Conv2dParams& params() const;
  ConvAlgorithm algorithm() const;  // the one chosen
  PictureSize output_size(std::int64_t batch, PictureSize in) const;

  // y has pixels y_pixel floats apart.
  void run(const float* x, std::int64_t batch, PictureSize in, float* y,
           std::int64_t y_pixel) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Packs and runs in one call.
void conv2d(const Conv2dParams& params, std::int64_t batch, PictureSize in, const float* x,
            const float* weight, const Epilogue& epilogue, float* out,
            ConvAlgorithm algorithm = ConvAlgorithm::direct);

// The gradient of the picture, of size `in`; overwrites grad_x, or adds to it. algorithm: direct or
// fastest.
void conv2d_backward_input(const Conv2dParams& params, std::int64_t batch, PictureSize in,
                           const float* grad_out, const float* weight, float* grad_x,
                           ConvAlgorithm algorithm = ConvAlgorithm::direct, bool adds = false);

// The gradient of the weights; overwrites grad_weight. algorithm: direct or fastest.
void conv2d_backward_weight(const Conv2dParams& params, std::int64_t batch, PictureSize in,
                            const float* grad_out, const float* x, float* grad_weight,
                            ConvAlgorithm algorithm = ConvAlgorithm::direct);

// The same where the output went through max pooling: from the gradient of the maxima and their
// indices, which must lie in their windows. Only where it pays, which is with few channels and many
// pictures; without spreading that gradient over the convolution's output.
bool conv2d_maxima_pay(const Conv2dParams& params, const PoolWindow& window, std::int64_t batch,
                       PictureSize in);
void conv2d_maxima_backward_input(const Conv2dParams& params, const PoolWindow& window,
                                  std::int64_t batch, PictureSize in, const float* grad,
                                  const std::int32_t* indices, const float* weight, float* grad_x);
void conv2d_maxima_backward_weight(const Conv2dParams& params, const PoolWindow& window,
                                   std::int64_t batch, PictureSize in, const float* grad,
                                   const std::int32_t* indices, const float* x, float* grad_weight);

// sums[c] = sum over rows of x[row][c], x dense: the gradient of a bias.
void column_sums(const float* x, std::int64_t rows, std::int64_t columns, float* sums);

}  // namespace fastconv
