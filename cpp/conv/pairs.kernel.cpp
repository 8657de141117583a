#include "conv/pairs.hpp"

#include "gemm/registers.hpp"
#include "simd/activation.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

// Pixels of each line at a time, at most: accumulators of both, beside two vectors of weights and a
// float of x.
constexpr int kPixels = MR;

// What a line of x adds to P pixels above, of which `w` are the weights, and to those below.
template <int P, bool ABOVE, bool BELOW>
FASTCONV_INLINE void add_line(const PairJob& job, const float* x, const float* w,
                              const float* w_below, vf (&above)[P], vf (&below)[P]) {
  const std::ptrdiff_t s = job.x_pixel * static_cast<std::ptrdiff_t>(sizeof(float));
  const std::ptrdiff_t s3 = 3 * s, s5 = 5 * s;
  const char* p0 = reinterpret_cast<const char*>(x);
  const char* p1 = p0 + kGroup * s;
#pragma GCC unroll 2
  for (std::int64_t k = 0; k < job.kernel_k; ++k) {
    const vf to_above = ABOVE ? load(w + k * W) : zero();
    const vf to_below = BELOW ? load(w_below + k * W) : zero();
#pragma GCC unroll 16
    for (int i = 0; i < P; ++i) {
      const vf seen = broadcast(i < kGroup ? row_address(p0, s, s3, s5, i)
                                           : row_address(p1, s, s3, s5, i - kGroup));
      if (ABOVE) above[i] = fma(seen, to_above, above[i]);
      if (BELOW) below[i] = fma(seen, to_below, below[i]);
    }
    p0 += sizeof(float);
    p1 += sizeof(float);
  }
}

// The maxima of P pixels, an even number, of two lines, for one vector of channels from `first` on.
template <int P>
void tile(const PairJob& job, const float* x, std::int64_t first, float* y) {
  const std::int64_t size = job.kernel_k * W;  // of a line's weights
  const float* w = job.weight + first / W * job.kernel_h * size;
  vf above[P], below[P];
  each<P, 1>([&](int i, int) { above[i] = below[i] = zero(); });
  // Line i of the windows of the pixels above is line i - 1 of those below.
  add_line<P, true, false>(job, x, w, w, above, below);
  for (std::int64_t i = 1; i < job.kernel_h; ++i, w += size) {
    add_line<P, true, true>(job, x + i * job.x_row, w + size, w, above, below);
  }
  add_line<P, false, true>(job, x + job.kernel_h * job.x_row, w, w, above, below);

  const std::int64_t lanes = job.channels - first;
  const auto part = [&](const float* p) { return lanes < W ? load_first(p, lanes) : load(p); };
  const vf bias = job.bias == nullptr ? zero() : part(job.bias + first);
  each<P / 2, 1>([&](int i, int) {
    // Bias and activation do not change which is the largest.
    const vf most =
        max_nan(max_nan(above[2 * i], above[2 * i + 1]), max_nan(below[2 * i], below[2 * i + 1]));
    const vf result = activate(most + bias, job.activation);
    float* to = y + i * job.y_pixel + first;
    lanes < W ? store_first(to, result, lanes) : store(to, result);
  });
}

// The tile of that many pixels, P or fewer.
template <int P>
void tile_of(std::int64_t pixels, const PairJob& job, const float* x, std::int64_t first,
             float* y) {
  if (P == 2 || pixels == P) return tile<P>(job, x, first, y);
  tile_of<P == 2 ? 2 : P - 2>(pixels, job, x, first, y);
}

void pooled(const PairJob& job, const float* x, float* y) {
  const std::int64_t tiles = (2 * job.columns + kPixels - 1) / kPixels;
  for (std::int64_t c = 0; c < job.channels; c += W) {
    for (std::int64_t line = 0; line < job.lines; ++line) {
      for (std::int64_t t = 0; t < tiles; ++t) {
        const std::int64_t begin = t * job.columns / tiles, end = (t + 1) * job.columns / tiles;
        tile_of<kPixels>(2 * (end - begin), job, x + 2 * (line * job.x_row + begin * job.x_pixel),
                         c, y + (line * job.columns + begin) * job.y_pixel);
      }
    }
  }
}

}  // namespace

extern const PairKernels pair_kernels_table;
const PairKernels pair_kernels_table = {W, pooled};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
