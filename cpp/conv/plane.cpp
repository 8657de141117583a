#include "conv/plane.hpp"

#include <algorithm>
#include <vector>

#include "conv/bands.hpp"
#include "conv/chunks.hpp"
#include "conv/conv2d.hpp"
#include "conv/pairs.hpp"
#include "core/error.hpp"
#include "core/memory.hpp"
#include "gemm/tile.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kPlanes = 6144;  // floats: a band of the gradient stays in L1, with its x
constexpr std::int64_t kChunk = std::int64_t{1} << 19, kChunks = 128;  // multiply-adds; at most

}  // namespace

std::vector<float> by_tap(const Conv2dParams& p, const float* weight) {
  const std::int64_t taps = p.kernel_h * p.kernel_w;
  std::vector<float> result(static_cast<std::size_t>(taps * p.out_channels));
  transpose_small(weight, p.out_channels, taps, result.data());
  return result;
}

bool is_plane(const Conv2dParams& p) {
  return p.in_channels == 1 && p.stride_h == 1 && p.stride_w == 1 && p.dilation_h == 1 &&
         p.dilation_w == 1;
}

bool plane_pays(const Conv2dParams& p) { return is_plane(p) && p.out_channels <= kPlaneChannels; }

void run_plane(const Conv2dParams& p, PlaneAlgorithm algorithm, std::int64_t batch, PictureSize in,
               const float* x, const float* weight, const float* bias, Activation activation,
               float* y, std::int64_t y_pixel) {
  PaddedPictures pictures(p, batch, in, kPlaneSlack);
  const std::int64_t step = algorithm == PlaneAlgorithm::forward ? 1 : 2;
  const std::int64_t columns = pictures.out.w / step;
  if (batch == 0 || pictures.out.h == 0 || columns == 0) return;
  PlaneJob job = {};
  job.weight = weight;
  job.bias = bias;
  job.activation = activation;
  job.kernel_h = p.kernel_h, job.kernel_w = p.kernel_w, job.channels = p.out_channels;
  job.columns = columns, job.y_pixel = y_pixel;
  job.x_row = pictures.row;
  const PlaneKernels& kernels = plane_kernels();
  auto* kernel = step == 1 ? kernels.forward : kernels.pooled;
  std::int64_t v_line = 0;
  if (algorithm == PlaneAlgorithm::pooled_winograd) {
    kernel = kernels.winograd;
    v_line = kLinePoints * plane_point(columns);
    pictures.limit_band(v_line);
  }
  const std::int64_t planes = 2 * p.out_channels * plane_pitch(columns);
  pictures.each_band(
      batch, step, planes + v_line * pictures.band_rows(), x,
      [&](const float* band, std::int64_t lines, std::int64_t first, float* scratch) {
        PlaneJob mine = job;
        mine.lines = lines;
        mine.scratch = scratch;
        mine.v = scratch + planes;
        kernel(mine, band, y + first * columns * y_pixel);
      });
}

void plane_conv2d(const Conv2dParams& p, std::int64_t batch, PictureSize in, const float* x,
                  const float* weight, const float* bias, Activation activation, float* out) {
  run_plane(p, PlaneAlgorithm::forward, batch, in, x, by_tap(p, weight).data(), bias, activation,
            out, p.out_channels);
}

// Bands of lines add to partial sums, lane by lane; how many bands make a chunk depends on the
// shape alone.
void plane_backward_weight(const Conv2dParams& p, std::int64_t batch, PictureSize in,
                           const float* grad_out, const float* x, float* grad_weight) {
  const PaddedPictures pictures(p, batch, in, kPlaneSlack);
  const PictureSize out = pictures.out;
  const std::int64_t taps = p.kernel_h * p.kernel_w;
  const std::int64_t channels = plane_gradient_channels(p.out_channels);
  PlaneGradientJob job = {};
  job.kernel_h = p.kernel_h, job.kernel_w = p.kernel_w, job.channels = p.out_channels;
  job.columns = out.w;
  job.x_row = pictures.row;

  const std::int64_t width = round_up(out.w, 16), line = channels * width;
  const std::int64_t bands = ceil_div(out.h, std::max<std::int64_t>(1, kPlanes / line));
  const std::int64_t most = split(out.h, bands, 0).size();  // lines of a band
  const std::int64_t tasks = batch * bands;
  // One of an empty batch too: its sums are zeros.
  const std::int64_t most_chunks = std::clamp<std::int64_t>(tasks, 1, kChunks);
  const std::int64_t chunks =
      std::clamp<std::int64_t>(batch * pictures.macs() / kChunk, 1, most_chunks);
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

}  // namespace fastconv
