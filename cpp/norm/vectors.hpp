// Loops over the vectors of a row, the partial one at its end included.
#pragma once

#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {

struct AllLanes {
  FASTCONV_INLINE vf load_at(const float* p) const { return load(p); }
  FASTCONV_INLINE void store_at(float* p, vf v) const { store(p, v); }
  FASTCONV_INLINE void stream_at(float* p, vf v) const { stream(p, v); }
};

struct FirstLanes {
  std::int64_t n;
  FASTCONV_INLINE vf load_at(const float* p) const { return load_first(p, n); }
  FASTCONV_INLINE void store_at(float* p, vf v) const { store_first(p, v, n); }
  FASTCONV_INLINE void stream_at(float* p, vf v) const { store_first(p, v, n); }
};

// body(offset, lanes) for each vector of `length` floats.
template <class Body>
FASTCONV_INLINE void for_each_vector(std::int64_t length, const Body& body) {
  std::int64_t i = 0;
  for (; i + W <= length; i += W) body(i, AllLanes{});
  if (i < length) body(i, FirstLanes{length - i});
}

}  // namespace FASTCONV_ISA
}  // namespace fastconv
