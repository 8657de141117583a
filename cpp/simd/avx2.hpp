// AVX2 and FMA: 8 floats, 16 registers.
#pragma once

#include <immintrin.h>

namespace fastconv {
namespace FASTCONV_ISA {

using vf = __m256;
constexpr int W = 8;
constexpr int kRegisters = 16;

FASTCONV_INLINE vf set1(float x) { return _mm256_set1_ps(x); }
FASTCONV_INLINE vf fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
FASTCONV_INLINE vf sqrt(vf x) { return _mm256_sqrt_ps(x); }

// Where an operand is NaN the result is b.
FASTCONV_INLINE vf max(vf a, vf b) { return _mm256_max_ps(a, b); }
FASTCONV_INLINE vf min(vf a, vf b) { return _mm256_min_ps(a, b); }

// The first n lanes (0 <= n <= W); other lanes are 0, other memory is not touched.
FASTCONV_INLINE __m256i first_lanes(std::int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
}
FASTCONV_INLINE vf load_first(const float* p, std::int64_t n) {
  return _mm256_maskload_ps(p, first_lanes(n));
}
// Lanes `begin` to `end`.
FASTCONV_INLINE vf load_lanes(const float* p, std::int64_t begin, std::int64_t end) {
  return _mm256_maskload_ps(p, _mm256_andnot_si256(first_lanes(begin), first_lanes(end)));
}
FASTCONV_INLINE void store_first(float* p, vf v, std::int64_t n) {
  _mm256_maskstore_ps(p, first_lanes(n), v);
}

// bfloat16, the upper halves of floats, widened.
FASTCONV_INLINE vf load_bf16(const std::uint16_t* p) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

// Past the caches; p on a vector boundary. stream_end() before other threads may read it.
FASTCONV_INLINE void stream(float* p, vf v) { _mm256_stream_ps(p, v); }
FASTCONV_INLINE void stream_end() { _mm_sfence(); }

// Nearest integer, and back.
FASTCONV_INLINE __m256i round_to_int(vf x) { return _mm256_cvtps_epi32(x); }
FASTCONV_INLINE vf to_float(__m256i x) { return _mm256_cvtepi32_ps(x); }

// Lanes N to N + W - 1 of one vector behind another.
template <int N>
FASTCONV_INLINE vf shifted(vf low, vf high) {
  const __m256i a = _mm256_castps_si256(low), b = _mm256_castps_si256(high);
  const __m256i middle = _mm256_permute2x128_si256(a, b, 0x21);
  return _mm256_castsi256_ps(N < 4 ? _mm256_alignr_epi8(middle, a, N % 4 * 4)
                                   : _mm256_alignr_epi8(b, middle, N % 4 * 4));
}

// a0 b0 a1 b1 ... of the lower halves; of the upper halves.
FASTCONV_INLINE vf zip_low(vf a, vf b) {
  const vf low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
  return _mm256_permute2f128_ps(low, high, 0x20);
}
FASTCONV_INLINE vf zip_high(vf a, vf b) {
  const vf low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
  return _mm256_permute2f128_ps(low, high, 0x31);
}

// a0 a2 ... b0 b2 ...; a1 a3 ... b1 b3 ...
FASTCONV_INLINE vf unzip_even(vf a, vf b) {
  const __m256i order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
  return _mm256_permutevar8x32_ps(_mm256_shuffle_ps(a, b, 0x88), order);
}
FASTCONV_INLINE vf unzip_odd(vf a, vf b) {
  const __m256i order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
  return _mm256_permutevar8x32_ps(_mm256_shuffle_ps(a, b, 0xdd), order);
}

}  // namespace FASTCONV_ISA
}  // namespace fastconv
