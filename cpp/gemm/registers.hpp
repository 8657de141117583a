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

// Row i of a group. Multiples of the stride up to 6 come from s, 3s and 5s by the CPU's own
// addressing (base + index * {1, 2, 4}), so that a 14-row tile needs seven registers, not fourteen.
FASTCONV_INLINE const char* row_address(const char* p, std::ptrdiff_t s, std::ptrdiff_t s3,
                                        std::ptrdiff_t s5, int i) {
  switch (i) {
    case 0:
      return p;
    case 1:
      return p + s;
    case 2:
      return p + 2 * s;
    case 3:
      return p + s3;
    case 4:
      return p + 4 * s;
    case 5:
      return p + s5;
    default:
      return p + 2 * s3;
  }
}

FASTCONV_INLINE vf broadcast(const char* p) { return set1(*reinterpret_cast<const float*>(p)); }

inline std::int64_t panel_width(std::int64_t columns) { return columns > W ? NR : W; }

}  // namespace FASTCONV_ISA
}  // namespace fastconv
