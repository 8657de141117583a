// Kernels of dropout.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"

namespace fastconv {

// The mask as kernels take it: an element is kept if its 24 bits are not below `threshold`.
struct DropoutMask {
  std::uint32_t key0, key1;
  std::int32_t threshold;  // up to 2**24
  float scale;
};

constexpr std::int64_t kDropoutChannels = 16;  // of a tile
constexpr std::int64_t kDropoutPixels = 256;
constexpr std::int64_t kDropoutGroup = 64;  // elements that `dropout` draws at once, at most

struct DropoutKernels {
  // x[0] is element `first`, a multiple of kDropoutGroup.
  void (*dropout)(const DropoutMask& mask, std::int64_t first, std::int64_t n, const float* x,
                  float* y);
  // Up to kDropoutChannels x kDropoutPixels: pixel p of channel c is element
  // first + c * channel_step + p, and lies at x[p * pixel_step + c].
  void (*tile)(const DropoutMask& mask, std::int64_t first, std::int64_t channels,
               std::int64_t channel_step, std::int64_t pixels, std::int64_t pixel_step,
               const float* x, float* y);
};

FASTCONV_DECLARE_KERNELS(DropoutKernels, dropout_kernels)

}  // namespace fastconv
