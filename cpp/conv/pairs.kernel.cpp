#include "conv/pairs.hpp"

#include "conv/winograd_transform.hpp"
#include "gemm/registers.hpp"
#include "simd/activation.hpp"
#include "simd/lanes.hpp"

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

// Stores the maxima of P pixels, an even number, of two lines, for one vector of channels from
// `first` on.
template <int P>
FASTCONV_INLINE void finish(const PairJob& job, std::int64_t first, const vf (&above)[P],
                            const vf (&below)[P], float* y) {
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

// The maxima of P pixels of two lines.
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

  finish(job, first, above, below, y);
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

constexpr int kPoints = kLinePoints;

// Pairs of pixels at a time, two points of both lines of each: as many accumulators, beside four
// vectors of weights.
constexpr int kPairs = kRegisters == 32 ? 6 : 2;

// The points of each of `lines` lines of x: those of all pixels, of which every second begins a
// pair.
void transform_lines(const PairJob& job, const float* x, std::int64_t lines) {
  const std::int64_t pixel = job.x_pixel, point = line_floats(job.columns, pixel);
  float* v = job.v;
  for (std::int64_t line = 0; line < lines; ++line, x += job.x_row, v += kPoints * point) {
    for_vectors((2 * job.columns - 1) * pixel, [&](std::int64_t at, auto vector) {
      vf d[kPoints], t[kPoints];
#pragma GCC unroll 6
      for (int i = 0; i < kPoints; ++i) d[i] = vector(x + at + i * pixel);
      input_line(d, t);
#pragma GCC unroll 6
      for (int i = 0; i < kPoints; ++i) store(v + i * point + at, t[i]);
    });
  }
}

// What a line of x adds to two points of P pairs of pixels, x_point floats of x and w_point of the
// weights apart.
template <int P, bool ABOVE, bool BELOW>
FASTCONV_INLINE void add_points(const PairJob& job, const float* x, std::int64_t x_point,
                                const float* w, const float* w_below, std::int64_t w_point,
                                vf (&above)[2][P], vf (&below)[2][P]) {
  const std::ptrdiff_t s = job.x_pixel * static_cast<std::ptrdiff_t>(sizeof(float));
  const std::ptrdiff_t s3 = 3 * s, s5 = 5 * s;
#pragma GCC unroll 2
  for (std::int64_t k = 0; k < job.kernel_k; ++k) {
#pragma GCC unroll 2
    for (int t = 0; t < 2; ++t) {
      const vf to_above = ABOVE ? load(w + t * w_point + k * W) : zero();
      const vf to_below = BELOW ? load(w_below + t * w_point + k * W) : zero();
      const char* p = reinterpret_cast<const char*>(x + t * x_point + k);
#pragma GCC unroll 8
      for (int i = 0; i < P; ++i) {
        const vf seen = broadcast(row_address(p, s, s3, s5, i));
        if (ABOVE) above[t][i] = fma(seen, to_above, above[t][i]);
        if (BELOW) below[t][i] = fma(seen, to_below, below[t][i]);
      }
    }
  }
}

// The maxima of P pairs of pixels of two lines.
template <int P>
void pairs_tile(const PairJob& job, std::int64_t point, const float* v, const float* u,
                std::int64_t first, float* y) {
  const std::int64_t line = job.kernel_k * W, size = job.kernel_h * line;  // of weights
  vf m[2][P][kPoints];
  for (int t = 0; t < kPoints; t += 2, v += 2 * point, u += 2 * size) {
    vf above[2][P] = {}, below[2][P] = {};
    add_points<P, true, false>(job, v, point, u, u, size, above, below);
    for (std::int64_t i = 1; i < job.kernel_h; ++i) {
      add_points<P, true, true>(job, v + i * job.x_row, point, u + i * line, u + (i - 1) * line,
                                size, above, below);
    }
    const float* last = u + (job.kernel_h - 1) * line;
    add_points<P, false, true>(job, v + job.kernel_h * job.x_row, point, last, last, size, above,
                               below);
    each<P, 2>([&](int i, int set) {
      m[0][i][t + set] = above[set][i], m[1][i][t + set] = below[set][i];
    });
  }
  vf above[2 * P], below[2 * P];
  each<P, 1>([&](int i, int) {
    vf pixels[2];
    output_line(m[0][i], pixels);
    above[2 * i] = pixels[0], above[2 * i + 1] = pixels[1];
    output_line(m[1][i], pixels);
    below[2 * i] = pixels[0], below[2 * i + 1] = pixels[1];
  });
  finish(job, first, above, below, y);
}

template <int P>
void pairs_tile_of(std::int64_t pairs, const PairJob& job, std::int64_t point, const float* v,
                   const float* u, std::int64_t first, float* y) {
  if (P == 1 || pairs == P) return pairs_tile<P>(job, point, v, u, first, y);
  pairs_tile_of<P == 1 ? 1 : P - 1>(pairs, job, point, v, u, first, y);
}

void winograd(const PairJob& job, const float* x, float* y) {
  const std::int64_t point = line_floats(job.columns, job.x_pixel);
  const std::int64_t tiles = (job.columns + kPairs - 1) / kPairs;
  transform_lines(job, x, 2 * job.lines + job.kernel_h - 1);
  PairJob points = job;  // convolutions of each point with windows of one pair
  points.kernel_k = job.x_pixel;
  points.x_pixel = 2 * job.x_pixel;
  points.x_row = kPoints * point;
  for (std::int64_t c = 0; c < job.channels; c += W) {
    const float* u = job.weight + c * kPoints * job.kernel_h * job.x_pixel;
    for (std::int64_t line = 0; line < job.lines; ++line) {
      for (std::int64_t t = 0; t < tiles; ++t) {
        const std::int64_t begin = t * job.columns / tiles, end = (t + 1) * job.columns / tiles;
        pairs_tile_of<kPairs>(end - begin, points, point,
                              job.v + 2 * line * points.x_row + begin * points.x_pixel, u, c,
                              y + (line * job.columns + begin) * job.y_pixel);
      }
    }
  }
}

void line_weights(const float* taps, std::int64_t kernel_h, std::int64_t floats, float* u) {
  for (std::int64_t i = 0; i < kernel_h; ++i, taps += 5 * floats, u += floats) {
    for_vectors(floats, [&](std::int64_t at, auto vector) {
      vf g[5], t[kPoints];
      for (int j = 0; j < 5; ++j) g[j] = vector(taps + j * floats + at);
      weight_line(g, t);
      for (int j = 0; j < kPoints; ++j) vector(u + j * kernel_h * floats + at, t[j]);
    });
  }
}

}  // namespace

extern const PairKernels pair_kernels_table;
const PairKernels pair_kernels_table = {W, pooled, winograd, line_weights};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
