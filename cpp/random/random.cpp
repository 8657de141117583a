#include "fastconv/random.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/threads.hpp"
#include "random/dropout.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kGrain = 8192;  // elements worth a thread

// u >= p for u = bits * 2**-24 is bits >= ceil(p * 2**24), where the product is exact.
DropoutMask mask_of(const char* operation, const Dropout& d) {
  if (!(d.p >= 0 && d.p <= 1)) {
    throw Error(std::string(operation) + ": p must lie in [0, 1] (p=" + std::to_string(d.p) + ")");
  }
  return {static_cast<std::uint32_t>(d.seed), static_cast<std::uint32_t>(d.seed >> 32),
          static_cast<std::int32_t>(std::ceil(d.p * 16777216.0)),
          d.p < 1 ? static_cast<float>(1 / (1 - d.p)) : 0.0f};
}

}  // namespace

void dropout(const Dropout& d, std::int64_t size, const float* x, float* y) {
  if (size < 0) fail("dropout", "sizes must not be negative", {{"size", size}});
  const DropoutMask mask = mask_of("dropout", d);
  const auto kernel = dropout_kernels().dropout;
  parallel_for(ceil_div(size, kDropoutGroup), kGrain / kDropoutGroup,
               [&](std::int64_t begin, std::int64_t end) {
                 const std::int64_t first = begin * kDropoutGroup;
                 kernel(mask, first, std::min(size, end * kDropoutGroup) - first, x + first,
                        y + first);
               });
}

void dropout_channels_last(const Dropout& d, std::int64_t images, std::int64_t channels,
                           std::int64_t pixels, const float* x, float* y) {
  if (images < 0 || channels < 0 || pixels < 0) {
    fail("dropout", "sizes must not be negative",
         {{"images", images}, {"channels", channels}, {"pixels", pixels}});
  }
  const DropoutMask mask = mask_of("dropout", d);
  const auto kernel = dropout_kernels().tile;
  const std::int64_t across = ceil_div(channels, kDropoutChannels);
  const std::int64_t down = ceil_div(pixels, kDropoutPixels);
  const std::int64_t tile = std::min(channels, kDropoutChannels) * std::min(pixels, kDropoutPixels);
  parallel_for(images * down * across, kGrain / std::max<std::int64_t>(1, tile),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t task = begin; task < end; ++task) {
                   const std::int64_t image = task / (down * across) * channels * pixels;
                   const std::int64_t p = task / across % down * kDropoutPixels;
                   const std::int64_t c = task % across * kDropoutChannels;
                   const std::int64_t at = image + p * channels + c;
                   kernel(mask, image + c * pixels + p, std::min(kDropoutChannels, channels - c),
                          pixels, std::min(kDropoutPixels, pixels - p), channels, x + at, y + at);
                 }
               });
}

}  // namespace fastconv
