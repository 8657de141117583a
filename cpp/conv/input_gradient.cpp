// The gradient of a convolution's picture.
#include <algorithm>
#include <vector>

#include "conv/conv2d.hpp"
#include "conv/depthwise.hpp"
#include "conv/windows.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"
#include "fastconv/elementwise.hpp"
#include "gemm/implicit.hpp"

namespace fastconv {
namespace {

// The convolution of grad_out, with the kernel turned round, that gives grad_x where stride and
// dilation are 1.
Conv2dParams turned(const Conv2dParams& p) {
  Conv2dParams q = p;
  std::swap(q.in_channels, q.out_channels);
  q.pad_top = p.kernel_h - 1 - p.pad_top;
  q.pad_bottom = p.kernel_h - 1 - p.pad_bottom;
  q.pad_left = p.kernel_w - 1 - p.pad_left;
  q.pad_right = p.kernel_w - 1 - p.pad_right;
  return q;
}

// Whether the kernel covers the whole picture, once: grad_x is then a product of matrices.
bool is_product(const Conv2dParams& p, PictureSize in) {
  return p.groups == 1 && p.kernel_h == in.h && p.kernel_w == in.w && p.pad_top == 0 &&
         p.pad_bottom == 0 && p.pad_left == 0 && p.pad_right == 0 && p.dilation_h == 1 &&
         p.dilation_w == 1;
}

// (out_channels, in_channels, taps) to (out_channels, taps, in_channels).
void order_weights(const Conv2dParams& p, const float* weight, float* ordered) {
  const std::int64_t taps = p.kernel_h * p.kernel_w, row = taps * p.in_channels;
  parallel_for(p.out_channels, ceil_div(16384, row), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) {
      transpose_small(weight + o * row, p.in_channels, taps, ordered + o * row);
    }
  });
}

// grad_x (batch, taps * in_channels) = grad_out (batch, out_channels) * weights of that order.
void multiply(const Conv2dParams& p, std::int64_t batch, const float* grad_out, const float* weight,
              float* grad_x, bool adds) {
  const std::int64_t taps = p.kernel_h * p.kernel_w, row = taps * p.in_channels;
  Scratch ordered(p.out_channels * row);
  order_weights(p, weight, ordered.data());
  GemmShape shape = {};
  shape.m = batch;
  shape.n = shape.ldb = shape.ldc = row;
  shape.k = shape.lda = p.out_channels;
  gemm(shape, 1.0f, grad_out, ordered.data(), adds ? 1.0f : 0.0f, grad_x, {});
}

// Few channels would leave most of a vector empty. All of a window's fill several: a product gives
// what each pixel of grad_out adds to its window. Whole pictures are tasks.
constexpr std::int64_t kFewChannels = 8, kManyPictures = 16;
constexpr std::int64_t kProduct = 8192;  // floats of a product, about: it stays in L1

bool windows_pay(const Conv2dParams& p, std::int64_t batch) {
  return p.in_channels <= kFewChannels && batch >= kManyPictures && p.groups == 1 &&
         p.dilation_w == 1 && p.kernel_w > 1;
}

// rows (count, taps * in_channels), `pitch` apart, of as many pixels of grad_out.
void multiply_pixels(const Conv2dParams& p, const Panels& panels, const float* grad_out,
                     std::int64_t count, std::int64_t pitch, float* rows) {
  const TileKernels& kernels = *panels.kernels;
  const Run run = {0, p.out_channels};
  TileJob job = {};
  job.n_tiles = 1;
  job.across = true;
  job.runs = &run;
  job.n_runs = 1;
  job.a = grad_out;
  job.a_row = p.out_channels;
  job.a_step = 1;
  job.b = panels.data;
  job.panel_stride = p.out_channels * kernels.nr;
  job.k_length = p.out_channels;
  job.n_end = panels.n;
  job.c = rows;
  job.c_row = pitch;
  job.alpha = 1.0f;
  const std::int64_t tiles = ceil_div(count, kernels.mr);
  for (std::int64_t i = 0; i < tiles; ++i) {
    const Range r = split(count, tiles, i);
    const std::int64_t second = r.begin + (r.size() + 1) / 2;
    const Tile tile = {{r.begin * p.out_channels, second * p.out_channels},
                       {r.begin * pitch, second * pitch},
                       r.size()};
    job.tiles = &tile;
    kernels.by_row(job);
  }
}

void add_windows(const Conv2dParams& p, std::int64_t batch, PictureSize in, const float* grad_out,
                 const float* weight, float* grad_x, bool adds) {
  const PictureSize out = conv2d_output_size(p, batch, in);
  const std::int64_t row = p.kernel_h * p.kernel_w * p.in_channels, pitch = round_up(row, 16);
  const TileKernels& kernels = tile_kernels();
  Scratch ordered(p.out_channels * row), packed(Panels::floats(kernels, p.out_channels, row));
  order_weights(p, weight, ordered.data());
  const Panels panels = {&kernels, packed.data(), p.out_channels, row};
  panels.pack(ordered.data(), row, 1);

  const std::int64_t lines = std::clamp<std::int64_t>(kProduct / (out.w * pitch), 1, out.h);
  const std::int64_t mine = round_up(lines * out.w * pitch, 16) + 16;
  const int members = static_cast<int>(std::min<std::int64_t>(get_num_threads(), batch));
  Scratch products(members * mine);
  const WindowSums sums = {p, in, out, pitch};
  parallel_team(members, [&](int member) {
    float* rows = products.data() + member * mine;
    const Range range = split(batch, members, member);
    for (std::int64_t image = range.begin; image < range.end; ++image) {
      float* picture = grad_x + image * in.h * in.w * p.in_channels;
      const float* grad = grad_out + image * out.h * out.w * p.out_channels;
      if (!adds) std::fill_n(picture, in.h * in.w * p.in_channels, 0.0f);
      for (std::int64_t first = 0; first < out.h; first += lines) {
        const std::int64_t end = std::min(first + lines, out.h);
        multiply_pixels(p, panels, grad + first * out.w * p.out_channels, (end - first) * out.w,
                        pitch, rows);
        window_kernels().add(sums, rows, first, end, picture);
      }
    }
  });
}

bool is_convolution(const Conv2dParams& q) {
  return q.stride_h == 1 && q.stride_w == 1 && q.dilation_h == 1 && q.dilation_w == 1 &&
         !is_depthwise(q) && q.pad_top >= 0 && q.pad_bottom >= 0 && q.pad_left >= 0 &&
         q.pad_right >= 0;
}

// Its weights, of one group.
std::vector<float> turned_weights(const Conv2dParams& p, const float* weight) {
  const std::int64_t taps = p.kernel_h * p.kernel_w;
  std::vector<float> turned(static_cast<std::size_t>(p.in_channels * p.out_channels * taps));
  float* to = turned.data();
  for (std::int64_t c = 0; c < p.in_channels; ++c) {
    for (std::int64_t o = 0; o < p.out_channels; ++o, to += taps) {
      const float* kernel = weight + (o * p.in_channels + c) * taps;
      std::reverse_copy(kernel, kernel + taps, to);
    }
  }
  return turned;
}

}  // namespace

// Pixels of grad_x whose coordinates leave the same remainder by the stride (a phase) are touched
// by the same kernel positions, each at one fixed distance in grad_out: per phase, a convolution
// of stride 1 with part of the kernel.
void conv2d_backward_input(const Conv2dParams& p, std::int64_t batch, PictureSize in,
                           const float* grad_out, const float* weight, float* grad_x,
                           ConvAlgorithm algorithm, bool adds) {
  const PictureSize size = conv2d_output_size(p, batch, in);
  const std::int64_t taps = p.kernel_h * p.kernel_w;
  check_backward(algorithm);
  if (is_product(p, in)) return multiply(p, batch, grad_out, weight, grad_x, adds);
  if (algorithm != ConvAlgorithm::direct && windows_pay(p, batch)) {
    return add_windows(p, batch, in, grad_out, weight, grad_x, adds);
  }
  const Conv2dParams q = turned(p);
  if (algorithm != ConvAlgorithm::direct && in.h > 0 && in.w > 0 && size.h > 1 && size.w > 1 &&
      is_convolution(q)) {
    Epilogue epilogue;
    epilogue.residual = adds ? grad_x : nullptr;
    algorithm = choose(algorithm, q, batch, size, Weights::fresh);
    if (algorithm != ConvAlgorithm::direct) {
      return run_winograd(q, algorithm, Winograd::Side::backward, batch, size, grad_out, weight,
                          epilogue, grad_x);
    }
    if (2 * q.out_channels <= tile_kernels().lanes && q.groups == 1 &&
        run_neighbours(q, batch, size, grad_out, turned_weights(p, weight).data(), epilogue,
                       grad_x)) {
      return;
    }
  }
  if (is_depthwise(p)) {
    const std::int64_t floats = batch * in.h * in.w * p.in_channels;
    Scratch memory(p.out_channels * taps), own(adds ? floats : 0);
    float* result = adds ? own.data() : grad_x;
    transpose_small(weight, p.out_channels, taps, memory.data());
    const DepthwiseJob job = {p, batch, in, size, memory.data(), p.in_channels, p.out_channels};
    const DepthwiseKernels& kernels = depthwise_kernels();
    parallel_for(batch * in.h, line_grain(p, in.w), [&](std::int64_t begin, std::int64_t end) {
      kernels.backward_input(job, grad_out, begin, end, result);
    });
    if (adds) add({}, floats, grad_x, result, grad_x);
    return;
  }

  const TileKernels& kernels = tile_kernels();
  const std::int64_t group_in = p.in_channels / p.groups, group_out = p.out_channels / p.groups;
  Scratch memory(Panels::floats(kernels, group_out * taps, group_in));

  ImplicitGemm gemm;
  gemm.images = batch;
  gemm.in_h = size.h;
  gemm.in_w = size.w;
  gemm.channels = group_out;
  gemm.in_pixel = p.out_channels;
  gemm.in_row = size.w * p.out_channels;
  gemm.in_image = size.h * gemm.in_row;

  // A single line of grad_out has no stride. A large one makes every pixel a phase, so that a
  // kernel as large as its padded picture multiplies no zeros.
  const std::int64_t stride_h = size.h == 1 ? in.h + p.pad_top + p.pad_bottom : p.stride_h;
  const std::int64_t stride_w = size.w == 1 ? in.w + p.pad_left + p.pad_right : p.stride_w;
  gemm.out_pixel = stride_w * p.in_channels;
  gemm.out_row = stride_h * in.w * p.in_channels;
  gemm.out_image = in.h * in.w * p.in_channels;
  for (std::int64_t phase_y = 0; phase_y < std::min(stride_h, in.h); ++phase_y) {
    for (std::int64_t phase_x = 0; phase_x < std::min(stride_w, in.w); ++phase_x) {
      gemm.out_h = ceil_div(in.h - phase_y, stride_h);
      gemm.out_w = ceil_div(in.w - phase_x, stride_w);
      gemm.taps.clear();
      std::vector<std::int64_t> order;
      // Backwards through the kernel is forwards through grad_out.
      for (std::int64_t i = p.kernel_h - 1; i >= 0; --i) {
        const std::int64_t y = phase_y + p.pad_top - i * p.dilation_h;
        if (y % stride_h != 0 || (size.h == 1 && y != 0)) continue;
        for (std::int64_t j = p.kernel_w - 1; j >= 0; --j) {
          const std::int64_t x = phase_x + p.pad_left - j * p.dilation_w;
          if (x % stride_w != 0 || (size.w == 1 && x != 0)) continue;
          gemm.taps.push_back({y / stride_h, x / stride_w});
          order.push_back(i * p.kernel_w + j);
        }
      }
      if (adds && order.empty()) continue;
      const std::int64_t k = group_out * static_cast<std::int64_t>(order.size());
      const Panels panels = {&kernels, memory.data(), k, group_in};
      gemm.kernels = &kernels;
      gemm.k = k;
      gemm.n = group_in;
      for (std::int64_t g = 0; g < p.groups; ++g) {
        const float* group_weight = weight + g * group_out * group_in * taps;
        if (taps == 1 && k > 0) {
          panels.pack(group_weight, group_in, 1);
        } else {
          panels.pack_taps_back(group_weight, group_out, group_in, taps, order);
        }
        float* to = grad_x + (phase_y * in.w + phase_x) * p.in_channels + g * group_in;
        gemm.run({grad_out + g * group_out, panels.data, to, nullptr, adds ? to : nullptr});
      }
    }
  }
}

}  // namespace fastconv
