#include "conv/plane.hpp"

#include <algorithm>
#include <vector>

#include "core/error.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kBand = 16;                      // pooled lines a task
constexpr std::int64_t kGrain = std::int64_t{1} << 18;  // multiply-adds worth a thread

}  // namespace

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
  if (p.in_channels != 1 || p.stride_h != 1 || p.stride_w != 1 || p.dilation_h != 1 ||
      p.dilation_w != 1) {
    fail("conv2d", "with pooling, it is for one input channel, stride 1 and dilation 1",
         {{"in_channels", p.in_channels}, {"stride_h", p.stride_h}, {"stride_w", p.stride_w}});
  }
  if (activation.kind == Activation::leaky_relu && activation.a < 0) {
    fail("conv2d", "with pooling, the activation must not fall");
  }
  const std::int64_t positions = p.kernel_h * p.kernel_w;
  impl_->weight.resize(static_cast<std::size_t>(positions * p.out_channels));
  for (std::int64_t c = 0; c < p.out_channels; ++c) {
    for (std::int64_t i = 0; i < positions; ++i) {
      impl_->weight[static_cast<std::size_t>(i * p.out_channels + c)] = weight[c * positions + i];
    }
  }
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
  const Conv2dParams& p = impl_->p;
  const PictureSize out = output_size(batch, in);
  if (batch == 0 || out.h == 0 || out.w == 0) return;

  PlaneJob job = {};
  job.weight = impl_->weight.data();
  job.bias = impl_->bias.empty() ? nullptr : impl_->bias.data();
  job.activation = impl_->activation;
  job.kernel_h = p.kernel_h, job.kernel_w = p.kernel_w, job.channels = p.out_channels;
  job.columns = out.w, job.y_pixel = y_pixel;
  job.x_row = round_up(2 * out.w + p.kernel_w - 1, 16) + kPlaneSlack;

  const std::int64_t bands = ceil_div(out.h, kBand), tasks = batch * bands;
  const std::int64_t macs = 4 * out.h * out.w * p.kernel_h * p.kernel_w * p.out_channels;
  const std::int64_t worth = std::max<std::int64_t>(1, batch * macs / kGrain);
  const int members = static_cast<int>(std::min<std::int64_t>({get_num_threads(), tasks, worth}));
  const std::int64_t strip = (2 * kBand + p.kernel_h - 1) * job.x_row;
  const std::int64_t line = p.out_channels * (out.w + kPlaneSlack);
  const std::int64_t mine = round_up(strip + line, 16) + 16;
  Scratch scratch(members * mine);
  const std::int64_t left = std::min(p.pad_left, job.x_row);
  const std::int64_t width = std::min(in.w, job.x_row - left);
  const auto kernel = plane_kernels().forward;
  parallel_team(members, [&](int member) {
    float* padded = scratch.data() + member * mine;
    PlaneJob band = job;
    band.scratch = padded + strip;
    std::fill_n(padded, strip, 0.0f);  // left and right of the picture it stays so
    const Range range = split(tasks, members, member);
    for (std::int64_t task = range.begin; task < range.end; ++task) {
      const std::int64_t image = task / bands, first = task % bands * kBand;
      band.lines = std::min(kBand, out.h - first);
      // Lines of the picture with zeros around, up to the last that a window reads.
      const std::int64_t rows = 2 * band.lines + p.kernel_h - 1;
      for (std::int64_t row = 0; row < rows; ++row) {
        const std::int64_t from = 2 * first + row - p.pad_top;
        float* to = padded + row * job.x_row + left;
        if (from < 0 || from >= in.h) {
          std::fill_n(to, width, 0.0f);
        } else {
          std::copy_n(x + (image * in.h + from) * in.w, width, to);
        }
      }
      kernel(band, padded, y + (image * out.h + first) * out.w * y_pixel);
    }
  });
}

}  // namespace fastconv
