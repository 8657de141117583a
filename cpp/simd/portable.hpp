// Four floats in the compiler's own vector type: SSE2 on x86-64, NEON on AArch64.
#pragma once

namespace fastconv {
namespace FASTCONV_ISA {

constexpr int W = 4;
constexpr int kRegisters = 16;
using vf = float __attribute__((vector_size(W * 4)));
using vint = std::int32_t __attribute__((vector_size(W * 4)));

FASTCONV_INLINE vf set1(float x) { return vf{x, x, x, x}; }
FASTCONV_INLINE vf fma(vf a, vf b, vf c) { return a * b + c; }
FASTCONV_INLINE vf sqrt(vf x) {
  return vf{__builtin_sqrtf(x[0]), __builtin_sqrtf(x[1]), __builtin_sqrtf(x[2]),
            __builtin_sqrtf(x[3])};
}

// Where an operand is NaN the result is b.
FASTCONV_INLINE vf max(vf a, vf b) { return a > b ? a : b; }
FASTCONV_INLINE vf min(vf a, vf b) { return a < b ? a : b; }

// The first n lanes (0 <= n <= W); other lanes are 0, other memory is not touched. Calls: a loop at
// each position of Winograd's transforms took 230 KB.
[[gnu::noinline]] static inline vf load_first(const float* p, std::int64_t n) {
  vf v{};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
// Lanes `begin` to `end`.
[[gnu::noinline]] static inline vf load_lanes(const float* p, std::int64_t begin,
                                              std::int64_t end) {
  vf v{};
  for (std::int64_t i = begin; i < end; ++i) v[i] = p[i];
  return v;
}
[[gnu::noinline]] static inline void store_first(float* p, vf v, std::int64_t n) {
  for (int i = 0; i < n; ++i) p[i] = v[i];
}

// bfloat16, the upper halves of floats, widened.
FASTCONV_INLINE vf load_bf16(const std::uint16_t* p) {
  const vint bits = {p[0] << 16, p[1] << 16, p[2] << 16, p[3] << 16};
  return (vf)bits;
}

FASTCONV_INLINE void stream(float* p, vf v) { __builtin_memcpy(p, &v, sizeof v); }
FASTCONV_INLINE void stream_end() {}

// Nearest integer, and back. Adding 1.5 * 2**23 leaves the rounded value in the low bits;
// holds for |x| < 2**22.
FASTCONV_INLINE vint round_to_int(vf x) {
  const vf magic = set1(12582912.0f);
  return (vint)(x + magic) - (vint)magic;
}
FASTCONV_INLINE vf to_float(vint x) {
  return vf{static_cast<float>(x[0]), static_cast<float>(x[1]), static_cast<float>(x[2]),
            static_cast<float>(x[3])};
}

// Lanes N to N + W - 1 of one vector behind another.
template <int N>
FASTCONV_INLINE vf shifted(vf low, vf high) {
  vf v;
  for (int i = 0; i < W; ++i) v[i] = N + i < W ? low[N + i] : high[N + i - W];
  return v;
}

// a0 b0 a1 b1 ... of the lower halves; of the upper halves.
FASTCONV_INLINE vf zip_low(vf a, vf b) { return vf{a[0], b[0], a[1], b[1]}; }
FASTCONV_INLINE vf zip_high(vf a, vf b) { return vf{a[2], b[2], a[3], b[3]}; }

// a0 a2 ... b0 b2 ...; a1 a3 ... b1 b3 ...
FASTCONV_INLINE vf unzip_even(vf a, vf b) { return vf{a[0], a[2], b[0], b[2]}; }
FASTCONV_INLINE vf unzip_odd(vf a, vf b) { return vf{a[1], a[3], b[1], b[3]}; }

}  // namespace FASTCONV_ISA
}  // namespace fastconv
