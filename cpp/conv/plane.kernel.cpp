#include "conv/plane.hpp"

#include "simd/activation.hpp"
#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

// Channels at a time: 2 lines x 2 vectors of each, beside two of x and a weight.
constexpr int kMaxChannels = kRegisters == 32 ? 6 : 3;

// Channels [first, first + C) of 2 W outputs of two lines, starting at x; W maxima of each to
// scratch, `pitch` apart.
template <int C>
FASTCONV_INLINE void maxima(const PlaneJob& job, const float* x, std::int64_t first, float* to,
                            std::int64_t pitch) {
  vf sums[C][2][2] = {};
  // Row i of the windows of the first line is row i - 1 of those of the second.
  for (std::int64_t i = 0; i <= job.kernel_h; ++i) {
    const float* row = x + i * job.x_row;
    const float* weight = job.weight + i * job.kernel_w * job.channels + first;
    const float* before = weight - job.kernel_w * job.channels;
    for (std::int64_t j = 0; j < job.kernel_w; ++j) {
      const vf left = load(row + j), right = load(row + j + W);
      if (i < job.kernel_h) {
#pragma GCC unroll 6
        for (int c = 0; c < C; ++c) {
          const vf w = set1(weight[j * job.channels + c]);
          sums[c][0][0] = fma(left, w, sums[c][0][0]);
          sums[c][0][1] = fma(right, w, sums[c][0][1]);
        }
      }
      if (i > 0) {
#pragma GCC unroll 6
        for (int c = 0; c < C; ++c) {
          const vf w = set1(before[j * job.channels + c]);
          sums[c][1][0] = fma(left, w, sums[c][1][0]);
          sums[c][1][1] = fma(right, w, sums[c][1][1]);
        }
      }
    }
  }
  vf y[C];
#pragma GCC unroll 6
  for (int c = 0; c < C; ++c) {
    const vf left = max_nan(sums[c][0][0], sums[c][1][0]);
    const vf right = max_nan(sums[c][0][1], sums[c][1][1]);
    y[c] = max_nan(unzip_even(left, right), unzip_odd(left, right));
  }
  // Bias and activation do not change which is the largest.
  if (job.bias != nullptr) {
#pragma GCC unroll 6
    for (int c = 0; c < C; ++c) y[c] = y[c] + set1(job.bias[first + c]);
  }
  const Activation activation = job.activation;
#pragma GCC unroll 6
  for (int c = 0; c < C; ++c) store(to + c * pitch, activate(y[c], activation));
}

template <int C>
FASTCONV_INLINE void line_of(const PlaneJob& job, const float* x, std::int64_t first,
                             std::int64_t pitch) {
  for (std::int64_t o = 0; o < job.columns; o += W) {
    maxima<C>(job, x + 2 * o, first, job.scratch + first * pitch + o, pitch);
  }
}

// At most N channels, `pitch` apart, of all columns to pixels, y_pixel apart. Whole blocks of N are
// copied where they spill over pixels yet to come only.
template <int N>
FASTCONV_INLINE void to_pixels(const float* from, std::int64_t pitch, std::int64_t channels,
                               std::int64_t columns, float* to, std::int64_t y_pixel) {
  const std::int64_t blocks = y_pixel == channels ? columns - N / channels : 0;
  for (std::int64_t first = 0; first < columns; first += W) {
    vf rows[N];
#pragma GCC unroll 16
    for (int c = 0; c < N; ++c) rows[c] = c < channels ? load(from + c * pitch + first) : zero();
    transpose(rows);
    const float* pixel = reinterpret_cast<const float*>(rows);
    const std::int64_t end = columns - first < W ? columns : first + W;
    for (std::int64_t o = first; o < end; ++o, pixel += N) {
      if (o < blocks) {
        __builtin_memcpy(to + o * y_pixel, pixel, N * sizeof(float));
      } else {
        for (std::int64_t c = 0; c < channels; ++c) to[o * y_pixel + c] = pixel[c];
      }
    }
  }
}

void forward(const PlaneJob& job, const float* x, float* y) {
  const std::int64_t pitch = job.columns + kPlaneSlack;
  for (std::int64_t line = 0; line < job.lines; ++line) {
    const float* from = x + 2 * line * job.x_row;
    std::int64_t c = 0;
    for (; c + kMaxChannels <= job.channels; c += kMaxChannels) {
      line_of<kMaxChannels>(job, from, c, pitch);
    }
    for (; c + 2 <= job.channels; c += 2) line_of<2>(job, from, c, pitch);
    for (; c < job.channels; ++c) line_of<1>(job, from, c, pitch);

    float* to = y + line * job.columns * job.y_pixel;
    for (c = 0; c < job.channels; c += 16) {
      const float* planes = job.scratch + c * pitch;
      const std::int64_t left = job.channels - c;
      if (left > 8) {
        to_pixels<16>(planes, pitch, left < 16 ? left : 16, job.columns, to + c, job.y_pixel);
      } else if (left > 4) {
        to_pixels<8>(planes, pitch, left, job.columns, to + c, job.y_pixel);
      } else {
        to_pixels<4>(planes, pitch, left, job.columns, to + c, job.y_pixel);
      }
    }
  }
}

}  // namespace

extern const PlaneKernels plane_kernels_table;
const PlaneKernels plane_kernels_table = {forward};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
