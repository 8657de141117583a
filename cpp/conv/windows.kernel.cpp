#include "conv/windows.hpp"

#include "simd/lanes.hpp"
#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

// Adds the part of a window that lies in the picture; it starts at line `top` and column `left`.
FASTCONV_INLINE void add_window(const WindowSums& s, const float* row, std::int64_t top,
                                std::int64_t left, float* picture) {
  const Conv2dParams& p = s.p;
  const std::int64_t right = s.in.w - left, first = left < 0 ? -left : 0;
  const std::int64_t length = (right < p.kernel_w ? right : p.kernel_w) - first;
  if (length <= 0) return;
  for (std::int64_t i = 0; i < p.kernel_h; ++i) {
    const std::int64_t y = top + i * p.dilation_h;
    if (y < 0 || y >= s.in.h) continue;
    const float* from = row + (i * p.kernel_w + first) * p.in_channels;
    float* to = picture + (y * s.in.w + left + first) * p.in_channels;
    for_vectors(length * p.in_channels, [&](std::int64_t at, auto lanes) {
      lanes(to + at, lanes(to + at) + lanes(from + at));
    });
  }
}

void add(const WindowSums& s, const float* rows, std::int64_t begin, std::int64_t end,
         float* picture) {
  const Conv2dParams& p = s.p;
  for (std::int64_t line = begin; line < end; ++line) {
    const std::int64_t top = line * p.stride_h - p.pad_top;
    // Pixels whose windows do not overlap follow each other, and the picture's lines take turns:
    // what was just written is not read at once.
    for (std::int64_t phase = 0; phase < p.kernel_w; ++phase) {
      for (std::int64_t o = phase; o < s.out.w; o += p.kernel_w) {
        add_window(s, rows + o * s.pitch, top, o * p.stride_w - p.pad_left, picture);
      }
    }
    rows += s.out.w * s.pitch;
  }
}

}  // namespace

extern const WindowKernels window_kernels_table;
const WindowKernels window_kernels_table = {add};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
