// The C++ door to convolution: results against seven plain loops, errors, odd sizes. The full
// comparison with the NumPy twins is in tests/functional.
#include <cmath>
#include <vector>

#include "expect.hpp"
#include "fastconv/conv.hpp"
#include "fastconv/runtime.hpp"

using namespace fastconv;
using fastconv::tests::error_of;

namespace {

std::vector<float> numbers(std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  unsigned state = 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) / static_cast<float>(1 << 23) - 1.0f;
  }
  return values;
}

void compare_with_loops(const Conv2dParams& p, std::int64_t batch, PictureSize in) {
  const PictureSize out = conv2d_output_size(p, batch, in);
  const std::int64_t c_group = p.in_channels / p.groups, o_group = p.out_channels / p.groups;
  const auto x = numbers(batch * in.h * in.w * p.in_channels);
  const auto weight = numbers(p.out_channels * c_group * p.kernel_h * p.kernel_w);
  const auto bias = numbers(p.out_channels);
  std::vector<float> y(static_cast<std::size_t>(batch * out.h * out.w * p.out_channels), NAN);
  PackedConv2d(p, weight.data(), bias.data()).run(x.data(), batch, in, nullptr, y.data());

  double worst = 0;
  std::size_t at = 0;
  for (std::int64_t n = 0; n < batch; ++n)
    for (std::int64_t oy = 0; oy < out.h; ++oy)
      for (std::int64_t ox = 0; ox < out.w; ++ox)
        for (std::int64_t o = 0; o < p.out_channels; ++o, ++at) {
          double sum = bias[static_cast<std::size_t>(o)];
          for (std::int64_t c = 0; c < c_group; ++c)
            for (std::int64_t i = 0; i < p.kernel_h; ++i)
              for (std::int64_t j = 0; j < p.kernel_w; ++j) {
                const std::int64_t iy = oy * p.stride_h - p.pad_top + i * p.dilation_h;
                const std::int64_t ix = ox * p.stride_w - p.pad_left + j * p.dilation_w;
                if (iy < 0 || iy >= in.h || ix < 0 || ix >= in.w) continue;
                const std::int64_t channel = o / o_group * c_group + c;
                sum += static_cast<double>(x[static_cast<std::size_t>(
                           ((n * in.h + iy) * in.w + ix) * p.in_channels + channel)]) *
                       weight[static_cast<std::size_t>(
                           ((o * c_group + c) * p.kernel_h + i) * p.kernel_w + j)];
              }
          worst = std::fmax(worst, std::isnan(y[at]) ? INFINITY : std::fabs(sum - y[at]));
        }
  EXPECT(worst < 1e-4);
}

// Into the channels of a wider picture, whose other channels stay: few channels, or an algorithm of
// PackedConv2d.
void compare_with_pooled(std::int64_t inputs, std::int64_t channels, std::int64_t height,
                         std::int64_t width, ConvAlgorithm algorithm = ConvAlgorithm::fastest) {
  const std::int64_t above = height / 2, left = width / 2;
  const Conv2dParams p = {inputs, channels, height, width, 1, 1, above, above, left, left};
  const PictureSize in = {7, 41}, half = {3, 20};
  const auto x = numbers(2 * in.h * in.w * inputs), bias = numbers(channels);
  auto weight = numbers(channels * inputs * height * width);
  for (float& value : weight) value /= static_cast<float>(height * width);
  std::vector<float> y(static_cast<std::size_t>(2 * in.h * in.w * channels));
  PackedConv2d(p, weight.data(), bias.data()).run(x.data(), 2, in, nullptr, y.data());
  const std::int64_t pixel = channels + 3;
  std::vector<float> pooled(static_cast<std::size_t>(2 * half.h * half.w * pixel), NAN);
  if (algorithm == ConvAlgorithm::fastest) {
    PooledConv2d(p, weight.data(), bias.data(), {}, algorithm)
        .run(x.data(), 2, in, pooled.data(), pixel);
  } else {
    PackedConv2d(p, weight.data(), bias.data(), {}, algorithm)
        .run_pooled(x.data(), inputs, 2, in, pooled.data(), pixel);
  }
  double worst = 0;
  for (std::int64_t i = 0; i < 2 * half.h * half.w; ++i) {
    const std::int64_t n = i / (half.h * half.w), line = i / half.w % half.h, o = i % half.w;
    for (std::int64_t c = 0; c < pixel; ++c) {
      const float value = pooled[static_cast<std::size_t>(i * pixel + c)];
      if (c >= channels) {
        EXPECT(std::isnan(value));
        continue;
      }
      float largest = -INFINITY;
      for (std::int64_t tap = 0; tap < 4; ++tap) {
        const std::int64_t at = (n * in.h + 2 * line + tap / 2) * in.w + 2 * o + tap % 2;
        largest = std::fmax(largest, y[static_cast<std::size_t>(at * channels + c)]);
      }
      worst = std::fmax(worst, std::isnan(value) ? INFINITY : std::fabs(value - largest));
    }
  }
  EXPECT(worst < (algorithm == ConvAlgorithm::fastest ? 1e-5 : 1e-4));
}

}  // namespace

int main() {
  for (const std::string& isa : available_isas()) {
    set_isa(isa);
    for (int threads : {1, 2}) {
      set_num_threads(threads);
      compare_with_loops({3, 20, 3, 3, 1, 1, 1, 1, 1, 1}, 2, {12, 9});
      compare_with_loops({16, 33, 1, 1, 2, 2}, 2, {7, 9});
      compare_with_loops({6, 8, 5, 3, 1, 2, 2, 1, 0, 3, 2, 1, 2}, 1, {13, 11});
      for (std::int64_t width : {3, 5}) {
        for (std::int64_t channels : {1, 4, 6, 9, 21}) compare_with_pooled(1, channels, 3, width);
        for (std::int64_t channels : {9, 16, 37}) compare_with_pooled(5, channels, 3, width);
      }
      for (std::int64_t inputs : {2, 5, 9, 19}) compare_with_pooled(inputs, 18, 5, 5);
      for (const ConvAlgorithm algorithm : {ConvAlgorithm::direct, ConvAlgorithm::winograd2,
                                            ConvAlgorithm::winograd4, ConvAlgorithm::winograd6}) {
        compare_with_pooled(5, 37, 3, 3, algorithm);
      }
      compare_with_loops({10, 10, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 10}, 1, {9, 8});
    }
  }
  Conv2dParams bad{4, 6, 3, 3};
  bad.groups = 3;
  EXPECT(error_of([&] { conv2d_output_size(bad, 1, {8, 8}); }) ==
         "conv2d: groups must divide the channels of x (groups=3, channels=4)");
  bad.groups = 1;
  EXPECT(error_of([&] {
           conv2d_output_size(bad, 1, {2, 8});
         }).find("conv2d: the dilated kernel must fit the padded input") == 0);
  bad.in_channels = std::int64_t{1} << 39;
  EXPECT(error_of([&] {
           conv2d_output_size(bad, std::int64_t{1} << 39, {8, 8});
         }).find("overflows 64 bits") != std::string::npos);
  return tests::failures == 0 ? 0 : 1;
}
