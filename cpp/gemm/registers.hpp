// How many registers hold a tile: MR rows times NR columns, and how wide panels are.
#pragma once

#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {

// Accumulators, two vectors of B and one broadcast must fit the registers: 28 + 3 of 32 with
// AVX-512, 12 + 3 of 16 with AVX2; plain SSE needs one more for the product of a * b + c.
constexpr int kVecs = 2;
constexpr int kGroup = kRegisters == 32 ? 7 : (W == 8 ? 3 : 2);
constexpr int MR = 2 * kGroup;
constexpr int NR = kVecs * W;

// f(row, vector) for every vector of a tile, unrolled, so that accumulators stay in registers.
template <int ROWS, int VECS, class F>
FASTCONV_INLINE void each(const F& f) {
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < VECS; ++v) f(i, v);
  }
}

inline std::int64_t panel_width(std::int64_t columns) { return columns > W ? NR : W; }

}  // namespace FASTCONV_ISA
}  // namespace fastconv
