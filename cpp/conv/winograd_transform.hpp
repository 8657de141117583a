// What the transforms of Winograd's kernels share.
#pragma once

#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {

constexpr float kRoot2 = 1.41421356237309505f;
constexpr float kRootHalf = 0.70710678118654752f;

// F(2, 5): one line of B^T d, which is F(4, 3)'s too, of A^T m and of G g, for the points 0,
// +-sqrt(1/2), +-sqrt(2) and infinity.
FASTCONV_INLINE void input_line(const vf (&d)[6], vf (&t)[6]) {
  const vf root2 = set1(kRoot2), root_half = set1(kRootHalf);
  const vf even_a = fma(d[2], set1(-2.0f), d[4]);
  const vf odd_a = fma(d[1], -root2, d[3] * root_half);
  const vf even_b = fma(d[2], set1(-0.5f), d[4]);
  const vf odd_b = fma(d[1], -root_half, d[3] * root2);
  t[0] = fma(d[2], set1(-2.5f), d[0] + d[4]);
  t[1] = even_a + odd_a;
  t[2] = even_a - odd_a;
  t[3] = even_b + odd_b;
  t[4] = even_b - odd_b;
  t[5] = fma(d[3], set1(-2.5f), d[1] + d[5]);
}

FASTCONV_INLINE void output_line(const vf (&m)[6], vf (&y)[2]) {
  y[0] = m[0] + (m[1] + m[2]) + (m[3] + m[4]);
  y[1] = fma(m[1] - m[2], set1(kRootHalf), fma(m[3] - m[4], set1(kRoot2), m[5]));
}

FASTCONV_INLINE void weight_line(const vf (&g)[5], vf (&t)[6]) {
  const vf third = set1(1.0f / 3), two_thirds = set1(2.0f / 3), sixth = set1(1.0f / 6);
  const vf even_a = fma(g[0], two_thirds, fma(g[2], third, g[4] * sixth));
  const vf odd_a = fma(g[1], set1(kRoot2 / 3), g[3] * set1(kRoot2 / 6));
  const vf even_b = fma(g[0], sixth, fma(g[2], third, g[4] * two_thirds));
  const vf odd_b = fma(g[1], set1(kRoot2 / 6), g[3] * set1(kRoot2 / 3));
  t[0] = g[0];
  t[1] = zero() - (even_a + odd_a);
  t[2] = odd_a - even_a;
  t[3] = even_b + odd_b;
  t[4] = even_b - odd_b;
  t[5] = g[4];
}

// A transform of IN_H x IN_W vectors to OUT_H x OUT_W, along columns and then along rows:
// load_at(i, j) reads one, line(in, out) transforms one line, store_at(i, j, value) takes the
// results.
template <int IN_H, int OUT_H, int IN_W, int OUT_W, class Load, class Line, class Store>
FASTCONV_INLINE void both_ways(const Load& load_at, const Line& line, const Store& store_at) {
  vf half[OUT_H][IN_W];
#pragma GCC unroll 8
  for (int x = 0; x < IN_W; ++x) {
    vf in[IN_H], out[OUT_H];
#pragma GCC unroll 8
    for (int i = 0; i < IN_H; ++i) in[i] = load_at(i, x);
    line(in, out);
#pragma GCC unroll 8
    for (int i = 0; i < OUT_H; ++i) half[i][x] = out[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < OUT_H; ++i) {
    vf out[OUT_W];
    line(half[i], out);
#pragma GCC unroll 8
    for (int j = 0; j < OUT_W; ++j) store_at(i, j, out[j]);
  }
}

// The same for squares, counted line by line: load_at(i), store_at(i, value).
template <int IN, int OUT, class Load, class Line, class Store>
FASTCONV_INLINE void both_ways(const Load& load_at, const Line& line, const Store& store_at) {
  both_ways<IN, OUT, IN, OUT>([&](int i, int j) { return load_at(i * IN + j); }, line,
                              [&](int i, int j, vf value) { store_at(i * OUT + j, value); });
}

// A line function as an argument that is inlined wherever it is called.
#define FASTCONV_LINE(name) \
  [](const auto& in, auto& out) __attribute__((always_inline)) { name(in, out); }

}  // namespace FASTCONV_ISA
}  // namespace fastconv
