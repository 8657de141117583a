// Loops over vectors whose last one may be a part: the body is written once.
#pragma once

#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {

struct WholeVector {
  vf operator()(const float* p) const { return load(p); }
  void operator()(float* p, vf v) const { store(p, v); }
};
struct PartVector {
  std::int64_t lanes;
  vf operator()(const float* p) const { return load_first(p, lanes); }
  void operator()(float* p, vf v) const { store_first(p, v, lanes); }
};

// Calls f(i, at) for each vector of n floats, i being its first. at(p) and at(p, v) load and store
// its lanes at p. Lanes past the last float work on zeros.
template <class F>
FASTCONV_INLINE void for_vectors(std::int64_t n, F f) {
  std::int64_t i = 0;
  for (; i + W <= n; i += W) f(i, WholeVector{});
  if (i < n) f(i, PartVector{n - i});
}

}  // namespace FASTCONV_ISA
}  // namespace fastconv
