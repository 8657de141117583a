#include "conv/plane.hpp"

#include <algorithm>
#include <vector>

#include "conv/chunks.hpp"
#include "conv/conv2d.hpp"
#include "core/error.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"
#include "gemm/tile.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kBand = 32;                      // lines of the convolution a task
constexpr std::int64_t kGrain = std::int64_t{1} << 18;  // multiply-adds worth a thread
constexpr std::int64_t kPlanes = 6144;  // floats: a band of the gradient stays in L1, with its x
constexpr std::int64_t kChunk = 2 * kGrain, kChunks = 128;  // of the gradient: so large, so many

// Pictures of one convolution, and the room that a band of their lines takes with its padding.
struct Pictures {
  const Conv2dParams& p;
  PictureSize in, out;

  std::int64_t row() const { return round_up(out.w + p.kernel_w - 1, 16) + kPlaneSlack; }
  std::int64_t macs() const {
    return out.h * out.w * p.kernel_h * p.kernel_w * p.out_channels;  // of one picture
  }
  // `rows` lines from the padded line `first` on, to memory that is zero left and right of them.
  void copy(const float* x, std::int64_t first, std::int64_t rows, float* to) const {
    const std::int64_t left = std::min(p.pad_left, row());
    const std::int64_t width = std::min(in.w, row() - left);
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t from = first + i - p.pad_top;
      float* line = to + i * row() + left;
      if (from < 0 || from >= in.h) {
        std::fill_n(line, width, 0.0f);
      } else {
        std::copy_n(x + from * in.w, width, line);
      }
    }
  }
};

// (channels, taps) to (taps, channels).
std::vector<float> by_tap(const Conv2dParams& p, const float* weight) {
  const std::int64_t taps = p.kernel_h * p.kernel_w;
  std::vector<float> result(static_cast<std::size_t>(taps * p.out_channels));
  transpose_small(weight, p.out_channels, taps, result.data());
  return result;
}

// With `pooled`, y is a quarter as large.
void run_plane(const Pictures& pictures, bool pooled, std::int64_t batch, const float* x,
               const float* weight, const float* bias, Activation activation, float* y,
               std::int64_t y_pixel) {
  const Conv2dParams& p = pictures.p;
  const std::int64_t step = pooled ? 2 : 1;
  const PictureSize out = {pictures.out.h / step, pictures.out.w / step};
  if (batch == 0 || out.h == 0 || out.w == 0) return;

  PlaneJob job = {};
  job.weight = weight;
  job.bias = bias;
  job.activation = activation;
  job.kernel_h = p.kernel_h, job.kernel_w = p.kernel_w, job.channels = p.out_channels;
  job.columns = out.w, job.y_pixel = y_pixel;
  job.x_row = pictures.row();

  const std::int64_t band_lines = kBand / step, bands = ceil_div(out.h, band_lines);
  const std::int64_t tasks = batch * bands;
  const std::int64_t worth = std::max<std::int64_t>(1, batch * pictures.macs() / kGrain);
  const int members = static_cast<int>(std::min<std::int64_t>({get_num_threads(), tasks, worth}));
  const std::int64_t strip = (kBand + p.kernel_h) * job.x_row;
  const std::int64_t line = 2 * p.out_channels * (out.w + kPlaneSlack);
  const std::int64_t mine = round_up(strip + line, 16) + 16;
  Scratch scratch(members * mine);
  const PlaneKernels& kernels = plane_kernels();
  const auto kernel = pooled ? kernels.pooled : kernels.forward;
  parallel_team(members, [&](int member) {
    float* padded = scratch.data() + member * mine;
    PlaneJob band = job;
    band.scratch = padded + strip;
    std::fill_n(padded, strip, 0.0f);
    const Range range = split(tasks, members, member);
    for (std::int64_t task = range.begin; task < range.end; ++task) {
      const std::int64_t image = task / bands, first = task % bands * band_lines;
      band.lines = std::min(band_lines, out.h - first);
      // Up to the last line that a window reads, of the second of two lines at a time.
      const std::int64_t rows = round_up(step * band.lines, 2) + p.kernel_h - 1;
      pictures.copy(x + image * pictures.in.h * pictures.in.w, step * first, rows, padded);
      kernel(band, padded, y + (image * out.h + first) * out.w * y_pixel);
    }
  });
}

}  // namespace

bool is_plane(const Conv2dParams& p) {
  return p.in_channels == 1 && p.stride_h == 1 && p.stride_w == 1 && p.dilation_h == 1 &&
         p.dilation_w == 1;
}

bool plane_pays(const Conv2dParams& p) { return is_plane(p) && p.out_channels <= kPlaneChannels; }

void plane_conv2d(const Conv2dParams& p, std::int64_t batch, PictureSize in, const float* x,
                  const float* weight, const float* bias, Activation activation, float* out) {
  run_plane({p, in, conv2d_output_size(p, batch, in)}, false, batch, x, by_tap(p, weight).data(),
            bias, activation, out, p.out_channels);
}

// Bands of lines add to partial sums, lane by lane; how many bands make a chunk depends on the
// shape alone.
void plane_backward_weight(const Conv2dParams& p, std::int64_t batch, PictureSize in,
                           const float* grad_out, const float* x, float* grad_weight) {
  const Pictures pictures = {p, in, conv2d_output_size(p, batch, in)};
  const PictureSize out = pictures.out;
  const std::int64_t taps = p.kernel_h * p.kernel_w;
  const std::int64_t channels = plane_gradient_channels(p.out_channels);
  PlaneGradientJob job = {};
  job.kernel_h = p.kernel_h, job.kernel_w = p.kernel_w, job.channels = p.out_channels;
  job.columns = out.w;
  job.x_row = pictures.row();

  const std::int64_t width = round_up(out.w, 16), line = channels * width;
  const std::int64_t bands = ceil_div(out.h, std::max<std::int64_t>(1, kPlanes / line));
  const std::int64_t most = split(out.h, bands, 0).size();  // lines of a band
  const std::int64_t tasks = batch * bands;
  const std::int64_t chunks =
      std::clamp<std::int64_t>(batch * pictures.macs() / kChunk, 1, std::min(kChunks, tasks));
  const std::int64_t copy = kPlaneChannels * width, planes = most * line,
                     sums = taps * channels * 16;
  const std::int64_t strip = (most + p.kernel_h - 1) * job.x_row;
  const int members = static_cast<int>(std::min<std::int64_t>(get_num_threads(), chunks));
  const SumBlock block = {{0, 1}, {0, p.out_channels}, 1, taps};
  const ChunkedGradient chunked = {
      chunks, chunks, copy + planes + sums + strip + SumBlock::own_floats(taps, p.out_channels),
      round_up(p.out_channels, tile_kernels().nr), members};
  const PlaneKernels& kernels = plane_kernels();
  sum_in_chunks(
      p, chunked, grad_weight,
      [&](std::int64_t chunk, std::int64_t, float* scratch, float* result, float* weights) {
        PlaneGradientJob band = job;
        band.copy = scratch;
        band.planes = band.copy + copy;
        band.sums = band.planes + planes;
        float* padded = band.sums + sums;
        std::fill_n(band.sums, sums + strip, 0.0f);
        const Range range = split(tasks, chunks, chunk);
        for (std::int64_t task = range.begin; task < range.end; ++task) {
          const std::int64_t image = task / bands;
          const Range lines = split(out.h, bands, task % bands);
          band.lines = lines.size();
          pictures.copy(x + image * in.h * in.w, lines.begin, band.lines + p.kernel_h - 1, padded);
          kernels.gradient(band, padded,
                           grad_out + (image * out.h + lines.begin) * out.w * p.out_channels);
        }
        const SumBlock::Rows to =
            result != nullptr ? block.among(result, chunked.ld) : block.own(padded + strip);
        kernels.sum(band, to.data, to.ld);
        if (result == nullptr) block.write(to, weights);
      });
}

struct PooledPlaneConv2d::Impl {
  Conv2dParams p;
  Activation activation;
  std::vector<float> weight, bias;  // (kernel_h, kernel_w, channels), (channels)
};

PooledPlaneConv2d::PooledPlaneConv2d(const Conv2dParams& params, const float* weight,
                                     const float* bias, Activation activation)
    : impl_(new Impl{params, activation, {}, {}}) {
  const Conv2dParams& p = impl_->p;
  conv2d_output_size(p, 1, {p.kernel_h, p.kernel_w});  // checks the parameters
  if (!is_plane(p)) {
    fail("conv2d", "with pooling, it is for one input channel, stride 1 and dilation 1",
         {{"in_channels", p.in_channels}, {"stride_h", p.stride_h}, {"stride_w", p.stride_w}});
  }
  if (activation.kind == Activation::leaky_relu && activation.a < 0) {
    fail("conv2d", "with pooling, the activation must not fall");
  }
  impl_->weight = by_tap(p, weight);
  if (bias != nullptr) impl_->bias.assign(bias, bias + p.out_channels);
}

PooledPlaneConv2d::~PooledPlaneConv2d() = default;

const Conv2dParams& PooledPlaneConv2d::params() const { return impl_->p; }

PictureSize PooledPlaneConv2d::output_size(std::int64_t batch, PictureSize in) const {
  const PictureSize out = conv2d_output_size(impl_->p, batch, in);
  return {out.h / 2, out.w / 2};
}

void PooledPlaneConv2d::run(const float* x, std::int64_t batch, PictureSize in, float* y,
                            std::int64_t y_pixel) const {
  const Pictures pictures = {impl_->p, in, conv2d_output_size(impl_->p, batch, in)};
  run_plane(pictures, true, batch, x, impl_->weight.data(),
            impl_->bias.empty() ? nullptr : impl_->bias.data(), impl_->activation, y, y_pixel);
}

}  // namespace fastconv
