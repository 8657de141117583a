// Activations on vectors, for the epilogues of kernels.
#pragma once

#include "fastconv/activation.hpp"
#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {

// The kind as a constant, for loops that do nothing but activate. max and min return their second
// operand where one is NaN, hence the order.
template <Activation::Kind kind>
FASTCONV_INLINE vf activate_as(vf x, float a, float b) {
  if (kind == Activation::relu) return max(zero(), x);
  if (kind == Activation::leaky_relu) return select((vi)(x > zero()), x, set1(a) * x);
  if (kind == Activation::clip) return min(set1(b), max(set1(a), x));
  return x;
}

FASTCONV_INLINE vf activate(vf x, Activation f) {
  switch (f.kind) {
    case Activation::relu:
      return activate_as<Activation::relu>(x, f.a, f.b);
    case Activation::leaky_relu:
      return activate_as<Activation::leaky_relu>(x, f.a, f.b);
    case Activation::clip:
      return activate_as<Activation::clip>(x, f.a, f.b);
    case Activation::none:
      break;
  }
  return x;
}

}  // namespace FASTCONV_ISA
}  // namespace fastconv
