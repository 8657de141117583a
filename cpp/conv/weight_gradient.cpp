// The gradient of convolution weights: a GEMM whose k runs over all output pixels of the batch.
//
//   dW(t * C + c, o) = sum_pixels x(pixel seen by tap t, c) * grad_out(pixel, o)
//
// Pixels come in strips that fit L2. For each strip grad_out is packed in panels, x is copied with
// its zero border where the kernel reads past the picture, and every tile of dW adds the strip's
// share. Threads divide the tiles of dW, and strips depend on the shape alone: the order of every
// sum, and so every bit, is the same at any thread count.
#include <algorithm>
#include <cstring>
#include <vector>

#include "conv/conv2d.hpp"
#include "conv/winograd_gradient.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"
#include "gemm/panels.hpp"

namespace fastconv {
namespace {

// A strip of fewer pixels spends its time adding to dW in memory.
constexpr std::int64_t kMinPixels = 256;
constexpr std::int64_t kMinWorkPerThread = 200'000;

class WeightGradient {
 public:
  WeightGradient(const Conv2dParams& params, std::int64_t batch_size, PictureSize in_size,
                 const float* grad, const float* picture)
      : p(params),
        in(in_size),
        out(conv2d_output_size(params, batch_size, in_size)),
        lines(batch_size * out.h),
        grad_out(grad),
        x(picture),
        kernels(tile_kernels()),
        channels(params.in_channels / params.groups),
        outputs(params.out_channels / params.groups),
        rows(channels * params.kernel_h * params.kernel_w),
        ld(round_up(outputs, kernels.nr)) {
    padded = p.pad_top > 0 || p.pad_bottom > 0 || p.pad_left > 0 || p.pad_right > 0;
    strip_w = in.w + p.pad_left + p.pad_right;
    const std::int64_t pixel_floats = p.stride_h * p.stride_w * channels + outputs;
    const std::int64_t budget = static_cast<std::int64_t>(l2_cache_bytes() / sizeof(float) / 2);
    const std::int64_t pixels = std::max(kMinPixels, budget / pixel_floats);
    strip_lines = std::clamp<std::int64_t>(pixels / out.w, 1, std::max<std::int64_t>(1, lines));
  }

  void run(float* grad_weight);

 private:
  void run_group(std::int64_t group, float* dw, float* panels, float* strip);
  void make_tiles();
  void fill_strip(Range range, std::int64_t group, float* strip) const;
  std::int64_t lines_in_strip(std::int64_t out_lines) const {
    return (out_lines - 1) * p.stride_h + (p.kernel_h - 1) * p.dilation_h + 1;
  }
  std::int64_t pixel_stride() const { return padded ? channels : p.in_channels; }
  std::int64_t line_stride() const { return (padded ? strip_w : in.w) * pixel_stride(); }
  // f(image, first output line, output lines), picture by picture.
  template <class F>
  void each_picture(Range range, const F& f) const {
    for (std::int64_t line = range.begin; line < range.end;) {
      const std::int64_t y = line % out.h, count = std::min(out.h - y, range.end - line);
      f(line / out.h, y, count);
      line += count;
    }
  }

  const Conv2dParams& p;
  PictureSize in, out;
  std::int64_t lines;
  const float* grad_out;
  const float* x;
  const TileKernels& kernels;
  std::int64_t channels, outputs, rows, ld;
  bool padded;
  std::int64_t strip_w, strip_lines;
  std::vector<Tile> tiles;
};

// dW's rows in tiles; neighbouring taps of a kernel line are contiguous in a dense strip.
void WeightGradient::make_tiles() {
  const bool merge = p.dilation_w == 1 && pixel_stride() == channels;
  const std::int64_t length = merge ? p.kernel_w * channels : channels;
  const std::int64_t stretches = rows / length;
  for (std::int64_t i = 0; i < stretches; ++i) {
    const std::int64_t ky = merge ? i : i / p.kernel_w, kx = merge ? 0 : i % p.kernel_w;
    const std::int64_t a = ky * p.dilation_h * line_stride() + kx * p.dilation_w * pixel_stride();
    const std::int64_t count = ceil_div(length, kernels.mr);
    for (std::int64_t j = 0; j < count; ++j) {
      const Range r = split(length, count, j);
      const std::int64_t half = r.begin + (r.size() + 1) / 2;
      tiles.push_back({{a + r.begin, a + half},
                       {(i * length + r.begin) * ld, (i * length + half) * ld},
                       r.size()});
    }
  }
}

void WeightGradient::fill_strip(Range range, std::int64_t group, float* strip) const {
  struct Line {
    const float* from;  // null for a line of zeros
    float* to;
  };
  std::vector<Line> copies;
  float* to = strip;
  each_picture(range, [&](std::int64_t image, std::int64_t y, std::int64_t count) {
    for (std::int64_t i = 0; i < lines_in_strip(count); ++i, to += line_stride()) {
      const std::int64_t in_y = y * p.stride_h - p.pad_top + i;
      const bool inside = in_y >= 0 && in_y < in.h;
      copies.push_back(
          {inside ? x + (image * in.h + in_y) * in.w * p.in_channels + group * channels : nullptr,
           to});
    }
  });
  const auto zero = [](float* at, std::int64_t floats) {
    std::memset(at, 0, static_cast<std::size_t>(floats) * sizeof(float));
  };
  parallel_for(static_cast<std::int64_t>(copies.size()), ceil_div(32768, line_stride()),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const Line& line = copies[static_cast<std::size_t>(i)];
                   if (line.from == nullptr) {
                     zero(line.to, line_stride());
                     continue;
                   }
                   float* pixel = line.to + p.pad_left * channels;
                   zero(line.to, p.pad_left * channels);
                   if (p.groups == 1) {
                     std::memcpy(pixel, line.from,
                                 static_cast<std::size_t>(in.w * channels) * sizeof(float));
                   } else {
                     for (std::int64_t j = 0; j < in.w; ++j) {
                       std::memcpy(pixel + j * channels, line.from + j * p.in_channels,
                                   static_cast<std::size_t>(channels) * sizeof(float));
                     }
                   }
                   zero(pixel + in.w * channels, p.pad_right * channels);
                 }
               });
}

void WeightGradient::run_group(std::int64_t group, float* dw, float* panel_memory, float* strip) {
  const std::int64_t n_panels = ceil_div(outputs, kernels.nr);
  const std::int64_t n_tiles = static_cast<std::int64_t>(tiles.size());
  const std::int64_t strips = ceil_div(lines, strip_lines);
  std::vector<Run> runs;
  for (std::int64_t s = 0; s < strips; ++s) {
    const Range range = split(lines, strips, s);
    const std::int64_t pixels = range.size() * out.w;
    const Panels panels = {&kernels, panel_memory, pixels, outputs};
    panels.pack(grad_out + range.begin * out.w * p.out_channels + group * outputs, p.out_channels,
                1);
    if (padded) fill_strip(range, group, strip);

    runs.clear();
    std::int64_t strip_offset = 0;
    each_picture(range, [&](std::int64_t image, std::int64_t y, std::int64_t count) {
      const std::int64_t first =
          padded ? strip_offset : (image * in.h + y * p.stride_h) * line_stride();
      for (std::int64_t i = 0; i < count; ++i) {
        runs.push_back({first + i * p.stride_h * line_stride(), out.w});
      }
      strip_offset += lines_in_strip(count) * line_stride();
    });

    TileJob job;
    job.runs = runs.data();
    job.n_runs = static_cast<std::int64_t>(runs.size());
    job.a = padded ? strip : x + group * channels;
    job.a_row = 1;
    job.a_step = p.stride_w * pixel_stride();
    job.panel_stride = panels.stride();
    job.k_begin = 0;
    job.k_length = pixels;
    job.next_b = nullptr;
    job.c = dw;
    job.c_row = ld;
    job.alpha = 1.0f;
    job.beta = s == 0 ? 0.0f : 1.0f;
    job.bias = nullptr;
    job.residual = nullptr;
    job.activation = {};
    job.stream = false;

    // Tasks are single panels times stretches of tiles: even shares at any number of threads.
    const double work = static_cast<double>(pixels) * static_cast<double>(rows * outputs);
    const std::int64_t threads = static_cast<std::int64_t>(
        std::clamp<double>(work / kMinWorkPerThread, 1, get_num_threads()));
    const std::int64_t cuts = std::min(n_tiles, ceil_div(threads * 4, n_panels));
    parallel_for(n_panels * cuts, n_panels * cuts / threads,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t task = begin; task < end; ++task) {
                     const std::int64_t panel = task / cuts;
                     const Range mine = split(n_tiles, cuts, task % cuts);
                     TileJob part = job;
                     part.tiles = tiles.data() + mine.begin;
                     part.n_tiles = mine.size();
                     part.b = panels.data + panel * panels.stride();
                     part.n_begin = panel * kernels.nr;
                     part.n_end = std::min(part.n_begin + kernels.nr, outputs);
                     kernels.by_column(part);
                   }
                 });
  }
}

void WeightGradient::run(float* grad_weight) {
  const std::int64_t taps = p.kernel_h * p.kernel_w;
  const std::int64_t count = p.out_channels * rows;
  if (lines == 0) {
    std::fill_n(grad_weight, count, 0.0f);
    return;
  }
  make_tiles();
  const std::int64_t pictures = ceil_div(strip_lines, out.h) + 1;
  const std::int64_t strip_floats =
      padded ? line_stride() * (strip_lines * p.stride_h + pictures * lines_in_strip(1)) : 0;
  Scratch dw(rows * ld);
  Scratch panels(Panels::floats(kernels, strip_lines * out.w, outputs));
  Scratch strip(strip_floats);
  for (std::int64_t g = 0; g < p.groups; ++g) {
    run_group(g, dw.data(), panels.data(), strip.data());
    float* to = grad_weight + g * outputs * rows;
    parallel_for(ceil_div(outputs, 16), ceil_div(2048, rows),
                 [&](std::int64_t begin, std::int64_t end) {
                   begin *= 16;
                   end = std::min(end * 16, outputs);
                   kernels.unpack_taps(dw.data() + begin, ld, channels, taps, end - begin,
                                       to + begin * rows);
                 });
  }
}

}  // namespace

void conv2d_backward_weight(const Conv2dParams& p, std::int64_t batch, PictureSize in,
                            const float* grad_out, const float* x, float* grad_weight,
                            ConvAlgorithm algorithm) {
  conv2d_output_size(p, batch, in);
  if (is_depthwise(p)) {
    depthwise_backward_weight(p, batch, in, grad_out, x, grad_weight);
  } else if (algorithm != ConvAlgorithm::direct && winograd_gradient_pays(p, batch, in)) {
    winograd_backward_weight(p, batch, in, grad_out, x, grad_weight);
  } else {
    WeightGradient(p, batch, in, grad_out, x).run(grad_weight);
  }
}

void column_sums(const float* x, std::int64_t rows, std::int64_t columns, float* sums) {
  // Chunks depend on the shape alone.
  const std::int64_t chunks = std::clamp<std::int64_t>(rows / 128, 1, 64);
  const TileKernels& kernels = tile_kernels();
  Scratch partial(chunks * columns);
  const std::int64_t grain = ceil_div(16384 * chunks, rows * columns + 1);
  parallel_for(chunks, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Range range = split(rows, chunks, i);
      kernels.column_sums(x + range.begin * columns, columns, range.size(), columns,
                          partial.data() + i * columns);
    }
  });
  kernels.column_sums(partial.data(), columns, chunks, columns, sums);
}

}  // namespace fastconv
