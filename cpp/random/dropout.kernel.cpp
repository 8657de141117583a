#include "random/dropout.hpp"

#include "random/philox.hpp"
#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

// All ones where the element is kept, for the 4 * W elements from 4 * block, in order.
FASTCONV_INLINE void draw(const DropoutMask& mask, std::uint64_t block, vf (&keep)[4]) {
  vu words[4];
  philox(block, mask.key0, mask.key1, words);
  vf lane[4];
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) lane[k] = (vf)((vi)(words[k] >> 8) >= mask.threshold);
  // Word k of lane i goes to element 4 * i + k.
  const vf even_low = zip_low(lane[0], lane[2]), even_high = zip_high(lane[0], lane[2]);
  const vf odd_low = zip_low(lane[1], lane[3]), odd_high = zip_high(lane[1], lane[3]);
  keep[0] = zip_low(even_low, odd_low);
  keep[1] = zip_high(even_low, odd_low);
  keep[2] = zip_low(even_high, odd_high);
  keep[3] = zip_high(even_high, odd_high);
}

FASTCONV_INLINE vf apply(vf keep, vf x, float scale) {
  return (vf)((vi)keep & (vi)(x * set1(scale)));
}

void dropout(const DropoutMask& mask, std::int64_t first, std::int64_t n, const float* x,
             float* y) {
  static_assert(kDropoutGroup % (4 * W) == 0, "groups begin at whole vectors of blocks");
  vf keep[4];
  for (std::int64_t i = 0; i < n; i += 4 * W) {
    draw(mask, static_cast<std::uint64_t>(first + i) / 4, keep);
    for (int k = 0; k < 4; ++k) {
      const std::int64_t at = i + k * W;
      if (at + W <= n) {
        store(y + at, apply(keep[k], load(x + at), mask.scale));
      } else if (at < n) {
        store_first(y + at, apply(keep[k], load_first(x + at, n - at), mask.scale), n - at);
      }
    }
  }
}

// Draws each channel's row of pixels, then turns blocks of W x W to the order of memory.
void tile(const DropoutMask& mask, std::int64_t first, std::int64_t channels,
          std::int64_t channel_step, std::int64_t pixels, std::int64_t pixel_step, const float* x,
          float* y) {
  // A row may begin inside a block of four and end inside a group, and is read W at a time.
  constexpr std::int64_t kRow = kDropoutPixels + 3 + 4 * W + W;
  alignas(64) float rows[W * kRow];
  for (std::int64_t c = 0; c < channels; c += W) {
    const std::int64_t width = channels - c < W ? channels - c : W;
    std::int64_t skip[W] = {};
    for (std::int64_t k = 0; k < width; ++k) {
      const std::int64_t start = first + (c + k) * channel_step;
      skip[k] = start % 4;
      vf keep[4];
      for (std::int64_t i = 0; i < skip[k] + pixels; i += 4 * W) {
        draw(mask, static_cast<std::uint64_t>(start / 4 + i / 4), keep);
        for (int v = 0; v < 4; ++v) store(rows + k * kRow + i + v * W, keep[v]);
      }
    }
    for (std::int64_t p = 0; p < pixels; p += W) {
      vf keep[W];
      for (int k = 0; k < W; ++k) {
        keep[k] = k < width ? load(rows + k * kRow + skip[k] + p) : zero();
      }
      transpose(keep);
      const std::int64_t height = pixels - p < W ? pixels - p : W;
      for (std::int64_t k = 0; k < height; ++k) {
        const std::int64_t at = (p + k) * pixel_step + c;
        if (width == W) {
          store(y + at, apply(keep[k], load(x + at), mask.scale));
        } else {
          store_first(y + at, apply(keep[k], load_first(x + at, width), mask.scale), width);
        }
      }
    }
  }
}

}  // namespace

extern const DropoutKernels dropout_kernels_table;
const DropoutKernels dropout_kernels_table = {dropout, tile};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
