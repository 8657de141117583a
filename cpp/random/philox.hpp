// Philox4x32-10 on vectors: W blocks of four words at once. For kernel files.
//
// J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2,
// 3", SC 2011; the constants are those of the authors' Random123 library.
#pragma once

#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {

// a * m to 64 bits: the even lanes' products and the odd lanes', each as 64-bit lanes, from which
// the halves are put together.
FASTCONV_INLINE void multiply_wide(vu a, std::uint32_t m, vu& high, vu& low) {
  using vq = std::uint64_t __attribute__((vector_size(W * 4)));
  constexpr std::uint64_t kLow = 0xffffffff;
  const vq even = ((vq)a & kLow) * m, odd = ((vq)a >> 32) * m;
  high = (vu)((even >> 32) | (odd & ~kLow));
  low = (vu)((even & kLow) | (odd << 32));
}

// Word k of block `block` + i goes to lane i of words[k]. The counter's upper half is 0.
FASTCONV_INLINE void philox(std::uint64_t block, std::uint32_t key0, std::uint32_t key1,
                            vu (&words)[4]) {
  alignas(64) static const std::uint32_t kLanes[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                       8, 9, 10, 11, 12, 13, 14, 15};
  vu lane;
  __builtin_memcpy(&lane, kLanes, sizeof lane);
  const std::uint32_t low = static_cast<std::uint32_t>(block);
  vu c0 = lane + low;
  vu c1 = vu{} + static_cast<std::uint32_t>(block >> 32) - (vu)(c0 < low);  // the carry
  vu c2{}, c3{};
  for (int round = 0; round < 10; ++round) {
    vu high0, low0, high1, low1;
    multiply_wide(c0, 0xd2511f53u, high0, low0);
    multiply_wide(c2, 0xcd9e8d57u, high1, low1);
    c0 = high1 ^ c1 ^ key0;
    c1 = low1;
    c2 = high0 ^ c3 ^ key1;
    c3 = low0;
    key0 += 0x9e3779b9u;
    key1 += 0xbb67ae85u;
  }
  words[0] = c0;
  words[1] = c1;
  words[2] = c2;
  words[3] = c3;
}

}  // namespace FASTCONV_ISA
}  // namespace fastconv
