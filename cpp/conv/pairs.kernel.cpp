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

// Stores P maxima for one vector of channels from `first` on; most(i) computes one. Bias and
// activation do not change which of some pixels is the largest.
template <int P, class Most>
FASTCONV_INLINE void finish(const PairJob& job, std::int64_t first, float* y, const Most& most) {
  const std::int64_t lanes = job.channels - first;
  const auto part = [&](const float* p) { return lanes < W ? load_first(p, lanes) : load(p); };
  const vf bias = job.bias == nullptr ? zero() : part(job.bias + first);
  each<P, 1>([&](int i, int) {
    const vf result = activate(most(i) + bias, job.activation);
    float* to = y + i * job.y_pixel + first;
    lanes < W ? store_first(to, result, lanes) : store(to, result);
  });
}

FASTCONV_INLINE vf largest(vf a, vf b, vf c, vf d) { return max_nan(max_nan(a, b), max_nan(c, d)); }

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

  finish<P / 2>(job, first, y, [&](int i) {
    return largest(above[2 * i], above[2 * i + 1], below[2 * i], below[2 * i + 1]);
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
  finish<P>(job, first, y, [&](int i) {
    vf above[2], below[2];
    output_line(m[0][i], above);
    output_line(m[1][i], below);
    return largest(above[0], above[1], below[0], below[1]);
  });
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

// F(2 x 2, 5 x 5) has products of one scalar and one vector of weights each, so that vectors of
// weights are loaded for as many windows as have accumulators: 5 where there are 32 registers and a
// product takes its scalar from memory, but 2 of 16, which is no gain.
constexpr bool kSquaresPay = W == 16;

// The even pixels of a line and its odd ones, c floats each, an even number. Writes up to W floats
// past the last ones.
template <int N>
FASTCONV_INLINE void part_pixels(const float* x, std::int64_t pixels, std::int64_t c, float* even,
                                 float* odd) {
  const float* end = x + pixels * c;
  for (; N > 0 && x + c + N <= end; x += 2 * c, even += c, odd += c) {
    __builtin_memcpy(even, x, N * sizeof(float));
    __builtin_memcpy(odd, x + c, N * sizeof(float));
  }
  for (; x < end; x += 2 * c, even += c, odd += c) {
    for (std::int64_t k = 0; k < c; k += W) {
      const std::int64_t lanes = c - k < W ? c - k : W;
      store(even + k, load_first(x + k, lanes));
      store(odd + k, load_first(x + c + k, lanes));
    }
  }
}

// The points of each of `lines` lines of x, along the line, of every second pixel.
void transform_every_second(const PairJob& job, const float* x, std::int64_t lines) {
  const std::int64_t c = job.x_pixel, pixels = 2 * job.columns + kPoints - 2;
  const std::int64_t point = square_floats(job.columns, c), half = half_line_floats(job.columns, c);
  float* v = job.v;
  float* halves = v + lines * kPoints * point;  // of two lines: the next is stored long before use
  const auto part = [&](std::int64_t line) {
    const float* from = x + line * job.x_row;
    float* even = halves + line % 2 * 2 * half;
    c <= 4   ? part_pixels<4>(from, pixels, c, even, even + half)
    : c <= 8 ? part_pixels<8>(from, pixels, c, even, even + half)
             : part_pixels<0>(from, pixels, c, even, even + half);
  };
  part(0);
  for (std::int64_t line = 0; line < lines; ++line, v += kPoints * point) {
    if (line + 1 < lines) part(line + 1);
    const float* even = halves + line % 2 * 2 * half;
    for (std::int64_t at = 0; at < point; at += W) {
      vf d[kPoints], t[kPoints];
#pragma GCC unroll 6
      for (int i = 0; i < kPoints; ++i) d[i] = load(even + i % 2 * half + i / 2 * c + at);
      input_line(d, t);
#pragma GCC unroll 6
      for (int i = 0; i < kPoints; ++i) store(v + i * point + at, t[i]);
    }
  }
}

// Two columns of pixels of P windows from one line of their points, which lie at v, `point` floats
// apart. Not inlined: constants of the transform would take accumulators' registers.
template <int P>
__attribute__((noinline)) void squares_line(const PairJob& job, std::int64_t point, const float* v,
                                            const float* u, vf* left, vf* right) {
  const std::ptrdiff_t s = job.x_pixel * static_cast<std::ptrdiff_t>(sizeof(float));
  const std::ptrdiff_t s3 = 3 * s, s5 = 5 * s;
  vf sums[kPoints][P] = {};
  const char* p[kPoints];
  for (int j = 0; j < kPoints; ++j) p[j] = reinterpret_cast<const char*>(v + j * point);
  for (const float* end = u + job.x_pixel * kPoints * W; u != end; u += kPoints * W) {
#pragma GCC unroll 6
    for (int j = 0; j < kPoints; ++j) {
      const vf weight = load(u + j * W);
#pragma GCC unroll 8
      for (int w = 0; w < P; ++w) {
        sums[j][w] = fma(broadcast(row_address(p[j], s, s3, s5, w)), weight, sums[j][w]);
      }
      p[j] += sizeof(float);
    }
  }
  each<P, 1>([&](int w, int) {
    vf line[kPoints], pixels[2];
#pragma GCC unroll 6
    for (int j = 0; j < kPoints; ++j) line[j] = sums[j][w];
    output_line(line, pixels);
    left[w * kPoints] = pixels[0], right[w * kPoints] = pixels[1];
  });
}

// The maxima of P windows.
template <int P>
void squares_tile(const PairJob& job, std::int64_t point, const float* v, const float* u,
                  std::int64_t first, float* y) {
  vf m[2][P][kPoints];
  for (int i = 0; i < kPoints; ++i, v += kPoints * point, u += kPoints * job.x_pixel * W) {
    squares_line<P>(job, point, v, u, &m[0][0][i], &m[1][0][i]);
  }
  finish<P>(job, first, y, [&](int w) {
    vf left[2], right[2];
    output_line(m[0][w], left);
    output_line(m[1][w], right);
    return largest(left[0], left[1], right[0], right[1]);
  });
}

template <int P>
void squares_tile_of(std::int64_t squares, const PairJob& job, std::int64_t point, const float* v,
                     const float* u, std::int64_t first, float* y) {
  if (P == 1 || squares == P) return squares_tile<P>(job, point, v, u, first, y);
  squares_tile_of<P == 1 ? 1 : P - 1>(squares, job, point, v, u, first, y);
}

// The points of windows down the columns, of lines transformed already.
void transform_columns(const float* lines, std::int64_t point, std::int64_t floats, float* v) {
  for (int j = 0; j < kPoints; ++j, lines += point, v += floats) {
    for (std::int64_t at = 0; at < floats; at += W) {
      vf d[kPoints], t[kPoints];
#pragma GCC unroll 6
      for (int i = 0; i < kPoints; ++i) d[i] = load(lines + i * kPoints * point + at);
      input_line(d, t);
#pragma GCC unroll 6
      for (int i = 0; i < kPoints; ++i) store(v + i * kPoints * floats + at, t[i]);
    }
  }
}

void squares(const PairJob& job, const float* x, float* y) {
  const std::int64_t rows = 2 * job.lines + kPoints - 2, c = job.x_pixel;
  const std::int64_t point = square_floats(job.columns, c);
  const std::int64_t tiles = (job.columns + kMostSquares - 1) / kMostSquares;
  transform_every_second(job, x, rows);
  float* v = job.v + rows * kPoints * point + 4 * half_line_floats(job.columns, c);
  for (std::int64_t line = 0; line < job.lines; ++line) {
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t begin = t * job.columns / tiles, end = (t + 1) * job.columns / tiles;
      const std::int64_t floats = square_floats(end - begin, c);
      transform_columns(job.v + 2 * line * kPoints * point + begin * c, point, floats, v);
      for (std::int64_t o = 0; o < job.channels; o += W) {
        squares_tile_of<kMostSquares>(end - begin, job, floats, v,
                                      job.weight + o * kPoints * kPoints * c, o,
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
const PairKernels pair_kernels_table = {W, pooled, winograd, kSquaresPay ? squares : nullptr,
                                        line_weights};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
