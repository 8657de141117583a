#include "conv/depthwise.hpp"

#include "simd/activation.hpp"
#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

// Kernel positions first, first + 1, ... end - 1 that fall inside [0, size) for an output at
// position `at`: size > at * stride - pad + i * dilation >= 0.
struct Taps {
  std::int64_t begin, end;
};
Taps taps_inside(std::int64_t at, std::int64_t stride, std::int64_t pad, std::int64_t dilation,
                 std::int64_t kernel, std::int64_t size) {
  const std::int64_t start = at * stride - pad;
  std::int64_t begin = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
  std::int64_t end = start >= size ? 0 : (size - start + dilation - 1) / dilation;
  if (end > kernel) end = kernel;
  if (begin > end) begin = end;
  return {begin, end};
}

void forward(const DepthwiseJob& job, const float* x, const Epilogue& epilogue, std::int64_t begin,
             std::int64_t end, float* y) {
  const Conv2dParams& p = job.p;
  const std::int64_t channels = p.in_channels;
  for (std::int64_t line = begin; line < end; ++line) {
    const std::int64_t image = line / job.out.h, oy = line % job.out.h;
    const Taps rows = taps_inside(oy, p.stride_h, p.pad_top, p.dilation_h, p.kernel_h, job.in.h);
    for (std::int64_t ox = 0; ox < job.out.w; ++ox) {
      const Taps columns =
          taps_inside(ox, p.stride_w, p.pad_left, p.dilation_w, p.kernel_w, job.in.w);
      const std::int64_t at = (line * job.out.w + ox) * job.y_pixel;
      for (std::int64_t c = 0; c < channels; c += W) {
        const std::int64_t lanes = channels - c < W ? channels - c : W;
        vf acc = zero();
        for (std::int64_t i = rows.begin; i < rows.end; ++i) {
          const std::int64_t iy = oy * p.stride_h - p.pad_top + i * p.dilation_h;
          for (std::int64_t j = columns.begin; j < columns.end; ++j) {
            const std::int64_t ix = ox * p.stride_w - p.pad_left + j * p.dilation_w;
            const float* from = x + ((image * job.in.h + iy) * job.in.w + ix) * job.x_pixel + c;
            const float* weight = job.weight + (i * p.kernel_w + j) * channels + c;
            acc = fma(load_first(from, lanes), load_first(weight, lanes), acc);
          }
        }
        if (epilogue.bias != nullptr) acc = acc + load_first(epilogue.bias + c, lanes);
        if (epilogue.residual != nullptr) acc = acc + load_first(epilogue.residual + at + c, lanes);
        store_first(y + at + c, activate(acc, epilogue.activation), lanes);
      }
    }
  }
}

void backward_input(const DepthwiseJob& job, const float* grad_y, std::int64_t begin,
                    std::int64_t end, float* grad_x) {
  const Conv2dParams& p = job.p;
  const std::int64_t channels = p.in_channels;
  for (std::int64_t line = begin; line < end; ++line) {
    const std::int64_t image = line / job.in.h, iy = line % job.in.h;
    for (std::int64_t ix = 0; ix < job.in.w; ++ix) {
      for (std::int64_t c = 0; c < channels; c += W) {
        const std::int64_t lanes = channels - c < W ? channels - c : W;
        vf acc = zero();
        for (std::int64_t i = 0; i < p.kernel_h; ++i) {
          const std::int64_t sy = iy + p.pad_top - i * p.dilation_h;
          if (sy < 0 || sy % p.stride_h != 0 || sy / p.stride_h >= job.out.h) continue;
          for (std::int64_t j = 0; j < p.kernel_w; ++j) {
            const std::int64_t sx = ix + p.pad_left - j * p.dilation_w;
            if (sx < 0 || sx % p.stride_w != 0 || sx / p.stride_w >= job.out.w) continue;
            const std::int64_t pixel =
                (image * job.out.h + sy / p.stride_h) * job.out.w + sx / p.stride_w;
            const float* weight = job.weight + (i * p.kernel_w + j) * channels + c;
            acc = fma(load_first(grad_y + pixel * channels + c, lanes), load_first(weight, lanes),
                      acc);
          }
        }
        store_first(grad_x + (line * job.in.w + ix) * channels + c, acc, lanes);
      }
    }
  }
}

void backward_weight(const DepthwiseJob& job, const float* grad_y, const float* x,
                     std::int64_t begin, std::int64_t end, float* grad_weight) {
  const Conv2dParams& p = job.p;
  const std::int64_t channels = p.in_channels;
  for (std::int64_t c = begin; c < end; c += W) {
    const std::int64_t lanes = end - c < W ? end - c : W;
    for (std::int64_t i = 0; i < p.kernel_h; ++i) {
      for (std::int64_t j = 0; j < p.kernel_w; ++j) {
        vf acc = zero();
        for (std::int64_t line = 0; line < job.batch * job.out.h; ++line) {
          const std::int64_t image = line / job.out.h, oy = line % job.out.h;
          const std::int64_t iy = oy * p.stride_h - p.pad_top + i * p.dilation_h;
          if (iy < 0 || iy >= job.in.h) continue;
          for (std::int64_t ox = 0; ox < job.out.w; ++ox) {
            const std::int64_t ix = ox * p.stride_w - p.pad_left + j * p.dilation_w;
            if (ix < 0 || ix >= job.in.w) continue;
            const float* from = x + ((image * job.in.h + iy) * job.in.w + ix) * channels + c;
            acc = fma(load_first(grad_y + (line * job.out.w + ox) * channels + c, lanes),
                      load_first(from, lanes), acc);
          }
        }
        store_first(grad_weight + (i * p.kernel_w + j) * channels + c, acc, lanes);
      }
    }
  }
}

}  // namespace

extern const DepthwiseKernels depthwise_kernels_table;
const DepthwiseKernels depthwise_kernels_table = {forward, backward_input, backward_weight};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
