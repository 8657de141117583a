// What the transforms of Winograd's kernels share.
#pragma once

#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {

constexpr float kRoot2 = 1.41421356237309505f;
constexpr float kRootHalf = 0.70710678118654752f;

// A transform of IN x IN vectors to OUT x OUT, along columns and then along rows: load_at(i) reads
// the i-th, line by line, line(in, out) transforms one line, store_at(i, value) takes the results.
template <int IN, int OUT, class Load, class Line, class Store>
FASTCONV_INLINE void both_ways(const Load& load_at, const Line& line, const Store& store_at) {
  vf half[OUT][IN];
#pragma GCC unroll 6
  for (int x = 0; x < IN; ++x) {
    vf in[IN], out[OUT];
#pragma GCC unroll 6
    for (int i = 0; i < IN; ++i) in[i] = load_at(i * IN + x);
    line(in, out);
#pragma GCC unroll 6
    for (int i = 0; i < OUT; ++i) half[i][x] = out[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < OUT; ++i) {
    vf out[OUT];
    line(half[i], out);
#pragma GCC unroll 6
    for (int j = 0; j < OUT; ++j) store_at(i * OUT + j, out[j]);
  }
}

// A line function as an argument that is inlined wherever it is called.
#define FASTCONV_LINE(name) \
  [](const auto& in, auto& out) __attribute__((always_inline)) { name(in, out); }

}  // namespace FASTCONV_ISA
}  // namespace fastconv
