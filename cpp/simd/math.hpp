// exp, log, pow, tanh and sigmoid of vectors.
//
// Each reduces its argument to a short interval (Cody and Waite's two-part ln 2 keeps the
// reduction exact without FMA) and evaluates a minimax polynomial there; the coefficients are those
// of the single-precision functions in S. L. Moshier's Cephes library. NaN gives NaN, infinities
// give the limits, results beyond the float range give infinity or 0. Denormal arguments and
// results count as 0, as everywhere in kernels.
//
// Largest errors found, in units in the last place: exp 1.0, log 0.8, tanh 1.4, sigmoid 2.5,
// pow 1.5 (3.2 for exponents beyond 20).
#pragma once

#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace math {

// ln 2 in two parts; the first has 9 significant bits, so that its product with an exponent is
// exact.
constexpr float kLn2High = 0.693359375f;
constexpr float kLn2Low = -2.12194440e-4f;

// Coefficients from the highest power down.
template <int N>
FASTCONV_INLINE vf polynomial(vf x, const float (&coefficients)[N]) {
  vf y = set1(coefficients[0]);
#pragma GCC unroll 16
  for (int i = 1; i < N; ++i) y = fma(y, x, set1(coefficients[i]));
  return y;
}

FASTCONV_INLINE vf power_of_two(vi exponent) { return (vf)((vu)(exponent + 127) << 23); }

FASTCONV_INLINE vf abs(vf x) { return (vf)((vi)x & 0x7fffffff); }

// exp(x + low), where |low| is at most a rounding error of x.
FASTCONV_INLINE vf exp_sum(vf x, vf low) {
  constexpr float kExp[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                            4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
  // Far enough for 0 and infinity; the operand order keeps NaN.
  x = min(set1(89.0f), max(set1(-104.0f), x));
  const auto rounded = round_to_int(x * set1(1.44269504f));
  const vf n = to_float(rounded);
  const vf r = fma(n, set1(-kLn2Low), fma(n, set1(-kLn2High), x)) + low;
  const vf y = fma(polynomial(r, kExp), r * r, r) + set1(1.0f);
  // In two steps: 2**n alone may overflow where the result does not.
  const vi exponent = (vi)rounded, half = exponent >> 1;
  return y * power_of_two(half) * power_of_two(exponent - half);
}

// x = 2**exponent * (1 + fraction), with 1 + fraction between sqrt(1/2) and sqrt(2); x > 0.
struct Parts {
  vf exponent, fraction;
};
FASTCONV_INLINE Parts split(vf x) {
  constexpr std::int32_t kSqrtHalf = 0x3f3504f3;
  const vi shifted = (vi)((vu)x - static_cast<std::uint32_t>(kSqrtHalf));
  const vi exponent = shifted >> 23;
  const vf mantissa = (vf)((shifted & 0x007fffff) + kSqrtHalf);
  return {__builtin_convertvector(exponent, vf), mantissa - set1(1.0f)};
}

// The logarithm's values where there is nothing to compute: 0, infinity, negative, NaN.
FASTCONV_INLINE vf log_special(vf x, vf y) {
  const vf infinity = set1(__builtin_inff());
  y = select((vi)(x < set1(1.17549435e-38f)), -infinity, y);
  y = select((vi)(x < zero()), set1(__builtin_nanf("")), y);
  return select((vi)(x < infinity), y, x);
}

// a * b - product, exactly: the halves of a and b have 12 bits each.
FASTCONV_INLINE vf product_error(vf a, vf b, vf product) {
  const vf a_high = (vf)((vi)a & ~0xfff), b_high = (vf)((vi)b & ~0xfff);
  const vf a_low = a - a_high, b_low = b - b_high;
  return (a_high * b_high - product) + a_high * b_low + a_low * b_high + a_low * b_low;
}

}  // namespace math

FASTCONV_INLINE vf exp(vf x) { return math::exp_sum(x, zero()); }

FASTCONV_INLINE vf log(vf x) {
  constexpr float kLog[] = {7.0376836292e-2f,  -1.1514610310e-1f, 1.1676998740e-1f,
                            -1.2420140846e-1f, 1.4249322787e-1f,  -1.6668057665e-1f,
                            2.0000714765e-1f,  -2.4999993993e-1f, 3.3333331174e-1f};
  const math::Parts parts = math::split(x);
  const vf f = parts.fraction, square = f * f;
  vf y = math::polynomial(f, kLog) * f * square;
  y = fma(parts.exponent, set1(math::kLn2Low), y);
  y = fma(square, set1(-0.5f), y);
  return math::log_special(x, fma(parts.exponent, set1(math::kLn2High), f + y));
}

// base ** exponent for base >= 0 and a finite exponent; a negative base gives NaN.
//
// An error of the logarithm would be multiplied by up to 88, so the logarithm is kept as a sum
// high + low: ln(1 + f) = 2 atanh(s) with s = f / (2 + f) and its remainder.
FASTCONV_INLINE vf pow(vf base, float exponent) {
  constexpr float kAtanh[] = {0.2371599674f, 0.2850058079f, 0.4000122547f, 0.6666666269f};
  if (exponent == 0.0f) return set1(1.0f);
  const math::Parts parts = math::split(base);
  const vf f = parts.fraction, divisor = set1(2.0f) + f;
  const vf s = f / divisor, product = s * divisor;
  const vf divisor_error = (set1(2.0f) - divisor) + f;
  const vf remainder =
      ((f - product) - math::product_error(s, divisor, product) - s * divisor_error) / divisor;
  const vf square = s * s;
  const vf series = math::polynomial(square, kAtanh) * square * s;
  const vf whole = parts.exponent * set1(math::kLn2High), rest = s + s;
  const vf sum_high = whole + rest;
  const vf low = ((whole - sum_high) + rest) + (remainder + remainder) +
                 fma(parts.exponent, set1(math::kLn2Low), series);
  const vf high = math::log_special(base, sum_high);
  const vf y = set1(exponent), scaled = high * y;
  // Beyond that the result is 0 or infinity, and the error terms are NaN where `scaled` is
  // infinite.
  const vi inside = (vi)(math::abs(scaled) < set1(128.0f));
  const vf correction = select(inside, fma(low, y, math::product_error(high, y, scaled)), zero());
  const vf total = scaled + correction;
  return math::exp_sum(total, select(inside, (scaled - total) + correction, zero()));
}

FASTCONV_INLINE vf tanh(vf x) {
  constexpr float kTanh[] = {-5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f,
                             1.33314422036e-1f, -3.33332819422e-1f};
  const vf a = math::abs(x), square = a * a;
  const vf small = fma(math::polynomial(square, kTanh) * square, a, a);
  const vf large = set1(1.0f) - set1(2.0f) / (exp(a + a) + set1(1.0f));
  const vf magnitude = select((vi)(a < set1(0.625f)), small, large);
  return (vf)((vi)magnitude | ((vi)x & ~0x7fffffff));
}

FASTCONV_INLINE vf sigmoid(vf x) { return set1(1.0f) / (set1(1.0f) + exp(-x)); }

}  // namespace FASTCONV_ISA
}  // namespace fastconv
