// The gradient of the weights of a Winograd convolution (winograd.hpp), with as few products.
//
// Y = A^T [U * (B^T d B)] A is linear in U, so dU of a tile is (A dY A^T) * (B^T d B) position by
// position, and dg = G^T dU G: the forward pass's transforms and the transposes of the others. The
// products are one GEMM a position, (channels x tiles) times (tiles x outputs). After Lavin and
// Gray (2015), section 4.1, with the points of winograd.hpp.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"
#include "fastconv/conv.hpp"

namespace fastconv {

// F(4, 3) and F(2, 5): both have tiles of 6 x 6 pixels and 36 positions.
constexpr int kGradientForms = 2;

struct WinogradGradientKernels {
  // A dY A^T: m x m pixels of `columns` floats, line by line, -> position p at v + p * v_stride, a
  // panel's row of `width` >= columns floats, whole vectors, zero beyond columns.
  void (*spread[kGradientForms])(const float* const* pixels, std::int64_t columns,
                                 std::int64_t width, float* v, std::int64_t v_stride);
  // G^T dU G of `floats` (a multiple of the lanes) next to each other: position p at u + p *
  // u_stride, tap t at g + t * g_stride.
  void (*collect[kGradientForms])(const float* u, std::int64_t u_stride, std::int64_t floats,
                                  float* g, std::int64_t g_stride);
};

FASTCONV_DECLARE_KERNELS(WinogradGradientKernels, winograd_gradient_kernels)

// Whether this way is the faster one by estimate.
bool winograd_gradient_pays(const Conv2dParams& params, std::int64_t batch, PictureSize in);

// As conv2d_backward_weight, for 3x3 and 5x5 kernels of stride 1 and dilation 1.
void winograd_backward_weight(const Conv2dParams& params, std::int64_t batch, PictureSize in,
                              const float* grad_out, const float* x, float* grad_weight);

}  // namespace fastconv
