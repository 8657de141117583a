// What the transforms of Winograd's kernels share.
#pragma once

#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {

constexpr float kRoot2 = 1.41421356237309505f;
constexpr float kRootHalf = 0.70710678118654752f;

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
