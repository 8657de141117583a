#include "conv/phases.hpp"

#include <algorithm>

#include "core/memory.hpp"
#include "core/threads.hpp"

namespace fastconv {

Conv2dParams over_phases(const Conv2dParams& p) {
  Conv2dParams phases = p;
  phases.in_channels *= p.stride_h * p.stride_w;
  phases.kernel_h = ceil_div(p.kernel_h, p.stride_h);
  phases.kernel_w = ceil_div(p.kernel_w, p.stride_w);
  phases.stride_h = phases.stride_w = 1;
  return phases;
}

std::vector<float> phase_weights(const Conv2dParams& p, const float* weight) {
  const Conv2dParams to = over_phases(p);
  std::vector<float> phases(
      static_cast<std::size_t>(p.out_channels * to.in_channels * to.kernel_h * to.kernel_w));
  for (std::int64_t row = 0; row < p.out_channels * p.in_channels * p.kernel_h; ++row) {
    const std::int64_t i = row % p.kernel_h, c = row / p.kernel_h % p.in_channels;
    const std::int64_t out = row / (p.kernel_h * p.in_channels);
    for (std::int64_t j = 0; j < p.kernel_w; ++j) {
      const std::int64_t phase = i % p.stride_h * p.stride_w + j % p.stride_w;
      const std::int64_t channel = out * to.in_channels + phase * p.in_channels + c;
      phases[static_cast<std::size_t>((channel * to.kernel_h + i / p.stride_h) * to.kernel_w +
                                      j / p.stride_w)] = weight[row * p.kernel_w + j];
    }
  }
  return phases;
}

PhaseReader::PhaseReader(const Conv2dParams& p, std::int64_t side, float* memory)
    : stride_(p.stride_h),
      channels_(p.in_channels),
      side_(side),
      pixel_floats_(round_up(stride_ * stride_ * channels_, 16)),
      square_(memory),
      line_(memory + side * side * pixel_floats_) {}

std::int64_t PhaseReader::memory_floats(const Conv2dParams& p, std::int64_t side) {
  const std::int64_t stride = p.stride_h;
  return side * side * round_up(stride * stride * p.in_channels, 16) +
         side * stride * p.in_channels;
}

bool PhaseReader::in_two_lines(std::int64_t lanes) const {
  const std::int64_t run = stride_ * channels_, floats = stride_ * run;
  for (std::int64_t c = 0; c < floats; c += lanes) {
    if ((std::min(c + lanes, floats) - 1) / run > c / run + 1) return false;
  }
  return true;
}

void PhaseReader::read(const float* picture, std::int64_t x_pixel, PictureSize in, std::int64_t y,
                       std::int64_t x) {
  const std::int64_t run = stride_ * channels_, pixels = side_ * stride_;
  const std::int64_t begin = std::clamp<std::int64_t>(-x, 0, pixels);
  const std::int64_t end = std::clamp<std::int64_t>(in.w - x, begin, pixels);
  const bool dense = x_pixel == channels_ && end - begin == pixels;
  for (std::int64_t i = 0; i < pixels; ++i) {
    const bool outside = y + i < 0 || y + i >= in.h;
    const float* from = picture + ((y + i) * in.w + x) * x_pixel;
    if (outside || !dense) {
      std::fill_n(line_, pixels * channels_, 0.0f);
      if (!outside && x_pixel == channels_) {
        std::copy_n(from + begin * channels_, (end - begin) * channels_, line_ + begin * channels_);
      }
      for (std::int64_t j = begin; j < end && !outside && x_pixel != channels_; ++j) {
        std::copy_n(from + j * x_pixel, channels_, line_ + j * channels_);
      }
      from = line_;
    }
    phase_kernels().spread(from, run, side_,
                           square_ + i / stride_ * side_ * pixel_floats_ + i % stride_ * run,
                           pixel_floats_);
  }
}

}  // namespace fastconv
