// One vector vocabulary for every instruction set.
//
// Included by *.kernel.cpp files only. `vf` holds W floats, `vi` W 32-bit integers; both are the
// compiler's vector types, so + - * / < > == ! and mask ? a : b work on them, lane by lane
// (a mask is a vi of 0 and -1). Everything lives in a namespace per instruction set, and no
// standard-library template is used here: the linker keeps one copy of an inline function, and it
// must not keep an AVX-512 copy for a CPU without it.
#pragma once

#include <cstddef>
#include <cstdint>

#if !defined(FASTCONV_ISA)
#error "kernel files are compiled once per instruction set, with FASTCONV_ISA set to its name"
#endif

#define FASTCONV_INLINE inline __attribute__((always_inline))

#if defined(__AVX512F__)
#include "simd/avx512.hpp"
#elif defined(__AVX2__)
#include "simd/avx2.hpp"
#else
#include "simd/portable.hpp"
#endif

namespace fastconv {
namespace FASTCONV_ISA {

using vi = std::int32_t __attribute__((vector_size(W * 4)));
using vu = std::uint32_t __attribute__((vector_size(W * 4)));

// Unaligned whole vectors.
FASTCONV_INLINE vf load(const float* p) {
  vf v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
FASTCONV_INLINE void store(float* p, vf v) { __builtin_memcpy(p, &v, sizeof v); }

FASTCONV_INLINE vf zero() { return vf{}; }

// mask ? a : b, bit by bit.
FASTCONV_INLINE vf select(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }

// Lane i is lane order[i] of v.
FASTCONV_INLINE vf permute(vf v, vi order) { return __builtin_shuffle(v, order); }

// max and min that let a NaN in either operand through, as NumPy's do.
FASTCONV_INLINE vf max_nan(vf a, vf b) { return a != a ? a : max(a, b); }
FASTCONV_INLINE vf min_nan(vf a, vf b) { return a != a ? a : min(a, b); }

// The sum of the lanes, in one fixed order: halves onto halves.
FASTCONV_INLINE float sum(vf v) {
  float lane[W];
  store(lane, v);
  for (int width = W / 2; width >= 1; width /= 2) {
    for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
  }
  return lane[0];
}

// Transposes N vectors, N a power of two: their first floats, then their second, and so on. log2(N)
// rounds of perfect shuffles.
template <int N>
FASTCONV_INLINE void transpose(vf (&rows)[N]) {
  for (int round = 1; round < N; round *= 2) {
    vf next[N];
#pragma GCC unroll 16
    for (int i = 0; i < N / 2; ++i) {
      next[2 * i] = zip_low(rows[i], rows[i + N / 2]);
      next[2 * i + 1] = zip_high(rows[i], rows[i + N / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) rows[i] = next[i];
  }
}

}  // namespace FASTCONV_ISA
}  // namespace fastconv
