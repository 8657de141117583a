// Convolution and pooling in one: the choice of a kernel, weights packed for it.
#include <algorithm>
#include <utility>
#include <vector>

#include "conv/bands.hpp"
#include "conv/pairs.hpp"
#include "conv/plane.hpp"
#include "core/error.hpp"
#include "core/memory.hpp"

namespace fastconv {
namespace {

// Weights (channels, in_channels, kernel_h, kernel_w) as `pairs` reads them.
AlignedBuffer by_vector(const Conv2dParams& p, const float* weight) {
  const std::int64_t lanes = pair_kernels().lanes, taps = p.kernel_h * p.kernel_w;
  const std::int64_t k = taps * p.in_channels;
  AlignedBuffer result(round_up(p.out_channels, lanes) * k);
  std::fill_n(result.data(), round_up(p.out_channels, lanes) * k, 0.0f);
  for (std::int64_t o = 0; o < p.out_channels; ++o) {
    float* to = result.data() + o / lanes * lanes * k + o % lanes;
    for (std::int64_t t = 0; t < taps; ++t) {
      for (std::int64_t c = 0; c < p.in_channels; ++c, to += lanes) {
        *to = weight[(o * p.in_channels + c) * taps + t];
      }
    }
  }
  return result;
}

// And with Winograd's algorithm along lines.
AlignedBuffer by_point(const Conv2dParams& p, const AlignedBuffer& weight) {
  const std::int64_t lanes = pair_kernels().lanes, vectors = ceil_div(p.out_channels, lanes);
  const std::int64_t line = p.in_channels * lanes, from = p.kernel_h * p.kernel_w * line;
  const std::int64_t to = p.kernel_h * kLinePoints * line;
  AlignedBuffer result(vectors * to);
  for (std::int64_t i = 0; i < vectors; ++i) {
    pair_kernels().line_weights(weight.data() + i * from, p.kernel_h, line, result.data() + i * to);
  }
  return result;
}

bool has_squares(const Conv2dParams& p) {
  return p.kernel_h == 5 && pair_kernels().squares != nullptr;
}

// And in both directions: for 5x5 windows, (kLinePoints, in_channels, kLinePoints) vectors.
AlignedBuffer by_square(const Conv2dParams& p, const AlignedBuffer& weight) {
  const std::int64_t lanes = pair_kernels().lanes, vectors = ceil_div(p.out_channels, lanes);
  const std::int64_t line = p.in_channels * lanes, points = kLinePoints * kLinePoints;
  const AlignedBuffer lines = by_point(p, weight);
  AlignedBuffer result(vectors * points * line), column(kLinePoints * line);
  for (std::int64_t i = 0; i < vectors; ++i) {
    for (std::int64_t x = 0; x < kLinePoints; ++x) {
      pair_kernels().line_weights(lines.data() + (i * kLinePoints + x) * 5 * line, 1, line,
                                  column.data());
      for (std::int64_t yc = 0; yc < kLinePoints * p.in_channels; ++yc) {
        std::copy_n(column.data() + yc * lanes, lanes,
                    result.data() + i * points * line + (yc * kLinePoints + x) * lanes);
      }
    }
  }
  return result;
}

void run_pairs(const Conv2dParams& p, bool winograd, std::int64_t batch, PictureSize in,
               const float* x, const float* weight, const float* bias, Activation activation,
               float* y, std::int64_t y_pixel) {
  PaddedPictures pictures(p, batch, in);
  PairJob job = {};
  job.weight = weight;
  job.bias = bias;
  job.activation = activation;
  job.kernel_h = p.kernel_h, job.kernel_k = p.kernel_w * p.in_channels;
  job.channels = p.out_channels;
  job.x_pixel = p.in_channels, job.x_row = pictures.row;
  job.columns = pictures.out.w / 2, job.y_pixel = y_pixel;
  const PairKernels& kernels = pair_kernels();
  auto* kernel = kernels.pooled;
  std::int64_t v = 0;
  if (winograd) {
    kernel = kernels.winograd;
    const std::int64_t v_line = kLinePoints * line_floats(job.columns, p.in_channels);
    pictures.limit_band(v_line);
    v = v_line * pictures.band_rows();
    if (has_squares(p)) {
      kernel = kernels.squares;
      v = square_scratch(pictures.band_rows(), job.columns, p.in_channels);
    }
  }
  pictures.each_band(
      batch, 2, v, x,
      [&](const float* band, std::int64_t lines, std::int64_t first, float* scratch) {
        PairJob mine = job;
        mine.lines = lines;
        mine.v = scratch;
        kernel(mine, band, y + first * job.columns * y_pixel);
      });
}

}  // namespace

struct PooledConv2d::Impl {
  Conv2dParams p;
  Activation activation;
  bool plane, winograd;
  std::vector<float> plane_weight;
  AlignedBuffer pair_weight;
  std::vector<float> bias;
};

PooledConv2d::PooledConv2d(const Conv2dParams& params, const float* weight, const float* bias,
                           Activation activation, ConvAlgorithm algorithm)
    : impl_(new Impl{params,
                     activation,
                     is_plane(params),
                     algorithm == ConvAlgorithm::fastest && params.kernel_w == 5,
                     {},
                     {},
                     {}}) {
  const Conv2dParams& p = impl_->p;
  conv2d_output_size(p, 1, {p.kernel_h, p.kernel_w});  // checks the parameters
  if (p.stride_h != 1 || p.stride_w != 1 || p.dilation_h != 1 || p.dilation_w != 1 ||
      p.groups != 1) {
    fail("conv2d", "with pooling, it is for stride 1, dilation 1 and one group",
         {{"stride_h", p.stride_h}, {"stride_w", p.stride_w}, {"groups", p.groups}});
  }
  if (activation.kind == Activation::leaky_relu && activation.a < 0) {
    fail("conv2d", "with pooling, the activation must not fall");
  }
  if (impl_->plane) {
    impl_->plane_weight = by_tap(p, weight);
    if (impl_->winograd) {
      std::vector<float> u(impl_->plane_weight.size() / 5 * kLinePoints);
      pair_kernels().line_weights(impl_->plane_weight.data(), p.kernel_h, p.out_channels, u.data());
      impl_->plane_weight = std::move(u);
    }
  } else {
    impl_->pair_weight = by_vector(p, weight);
    if (impl_->winograd) {
      impl_->pair_weight =
          has_squares(p) ? by_square(p, impl_->pair_weight) : by_point(p, impl_->pair_weight);
    }
  }
  if (bias != nullptr) impl_->bias.assign(bias, bias + p.out_channels);
}

PooledConv2d::~PooledConv2d() = default;

const Conv2dParams& PooledConv2d::params() const { return impl_->p; }

ConvAlgorithm PooledConv2d::algorithm() const {
  return impl_->winograd ? ConvAlgorithm::winograd2 : ConvAlgorithm::direct;
}

PictureSize PooledConv2d::output_size(std::int64_t batch, PictureSize in) const {
  const PictureSize out = conv2d_output_size(impl_->p, batch, in);
  return {out.h / 2, out.w / 2};
}

void PooledConv2d::run(const float* x, std::int64_t batch, PictureSize in, float* y,
                       std::int64_t y_pixel) const {
  const PictureSize size = output_size(batch, in);
  if (batch == 0 || size.h == 0 || size.w == 0) return;
  const float* bias = impl_->bias.empty() ? nullptr : impl_->bias.data();
  if (impl_->plane) {
    run_plane(impl_->p, impl_->winograd ? PlaneAlgorithm::pooled_winograd : PlaneAlgorithm::pooled,
              batch, in, x, impl_->plane_weight.data(), bias, impl_->activation, y, y_pixel);
  } else {
    run_pairs(impl_->p, impl_->winograd, batch, in, x, impl_->pair_weight.data(), bias,
              impl_->activation, y, y_pixel);
  }
}

}  // namespace fastconv
