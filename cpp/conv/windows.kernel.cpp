#include "conv/windows.hpp"

#include "simd/lanes.hpp"
#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

void add(const WindowSums& s, const float* rows, std::int64_t begin, std::int64_t end,
         float* picture) {
  const Conv2dParams& p = s.p;
  for (std::int64_t line = begin; line < end; ++line) {
    const std::int64_t top = line * p.stride_h - p.pad_top;
    for (std::int64_t o = 0; o < s.out.w; ++o, rows += s.pitch) {
      // The part of the window that lies in the picture.
      const std::int64_t left = o * p.stride_w - p.pad_left, right = s.in.w - left;
      const std::int64_t first = left < 0 ? -left : 0;
      const std::int64_t length = (right < p.kernel_w ? right : p.kernel_w) - first;
      if (length <= 0) continue;
      // Lines of the picture take turns: the next pixel's window overlaps what was just written.
      for (std::int64_t i = 0; i < p.kernel_h; ++i) {
        const std::int64_t y = top + i * p.dilation_h;
        if (y < 0 || y >= s.in.h) continue;
        const float* from = rows + (i * p.kernel_w + first) * p.in_channels;
        float* to = picture + (y * s.in.w + left + first) * p.in_channels;
        for_vectors(length * p.in_channels, [&](std::int64_t at, auto lanes) {
          lanes(to + at, lanes(to + at) + lanes(from + at));
        });
      }
    }
  }
}

}  // namespace

extern const WindowKernels window_kernels_table;
const WindowKernels window_kernels_table = {add};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
