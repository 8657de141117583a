// AVX-512 F, VL, BW, DQ: 16 floats, 32 registers.
#pragma once

#include <immintrin.h>

namespace fastconv {
namespace FASTCONV_ISA {

using vf = __m512;
constexpr int W = 16;
constexpr int kRegisters = 32;

FASTCONV_INLINE vf set1(float x) { return _mm512_set1_ps(x); }
FASTCONV_INLINE vf fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
FASTCONV_INLINE vf sqrt(vf x) { return _mm512_sqrt_ps(x); }

// Where an operand is NaN the result is b.
FASTCONV_INLINE vf max(vf a, vf b) { return _mm512_max_ps(a, b); }
FASTCONV_INLINE vf min(vf a, vf b) { return _mm512_min_ps(a, b); }

// The first n lanes (0 <= n <= W); other lanes are 0, other memory is not touched.
FASTCONV_INLINE __mmask16 first_lanes(std::int64_t n) {
  return static_cast<__mmask16>(_bzhi_u32(0xffffu, static_cast<unsigned>(n)));
}
FASTCONV_INLINE vf load_first(const float* p, std::int64_t n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), p);
}
// Lanes `begin` to `end`.
FASTCONV_INLINE vf load_lanes(const float* p, std::int64_t begin, std::int64_t end) {
  return _mm512_maskz_loadu_ps(_kandn_mask16(first_lanes(begin), first_lanes(end)), p);
}
FASTCONV_INLINE void store_first(float* p, vf v, std::int64_t n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), v);
}

// bfloat16, the upper halves of floats, widened.
FASTCONV_INLINE vf load_bf16(const std::uint16_t* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

// Past the caches; p on a vector boundary. stream_end() before other threads may read it.
FASTCONV_INLINE void stream(float* p, vf v) { _mm512_stream_ps(p, v); }
FASTCONV_INLINE void stream_end() { _mm_sfence(); }

// Nearest integer, and back.
FASTCONV_INLINE __m512i round_to_int(vf x) { return _mm512_cvtps_epi32(x); }
FASTCONV_INLINE vf to_float(__m512i x) { return _mm512_cvtepi32_ps(x); }

// Lanes N to N + W - 1 of one vector behind another.
template <int N>
FASTCONV_INLINE vf shifted(vf low, vf high) {
  const __m512i a = _mm512_castps_si512(low), b = _mm512_castps_si512(high);
  return _mm512_castsi512_ps(_mm512_alignr_epi32(b, a, N));
}

// a0 b0 a1 b1 ... of the lower halves; of the upper halves.
FASTCONV_INLINE vf zip_low(vf a, vf b) {
  return _mm512_permutex2var_ps(
      a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b);
}
FASTCONV_INLINE vf zip_high(vf a, vf b) {
  return _mm512_permutex2var_ps(
      a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b);
}

// a0 a2 ... b0 b2 ...; a1 a3 ... b1 b3 ...
FASTCONV_INLINE vf unzip_even(vf a, vf b) {
  return _mm512_permutex2var_ps(
      a, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b);
}
FASTCONV_INLINE vf unzip_odd(vf a, vf b) {
  return _mm512_permutex2var_ps(
      a, _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), b);
}

}  // namespace FASTCONV_ISA
}  // namespace fastconv
