// Dropout, with random numbers that depend on the seed and the element's place alone.
//
// Element i draws word i % 4 of Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", 2011) with the seed as key and i / 4 as counter, low words first; u = the word's upper
// 24 bits * 2**-24. So the backward pass draws the same mask again, in any memory order and on any
// number of threads.
#pragma once

#include <cstdint>

namespace fastconv {

// y = x / (1 - p) where u >= p, else 0. p in [0, 1]; p = 1 gives zeros.
struct Dropout {
  double p = 0.5;
  std::uint64_t seed = 0;
};

// Elements are numbered as they lie in memory. y may be x.
void dropout(const Dropout& d, std::int64_t size, const float* x, float* y);

// x and y (images, pixels, channels), numbered in the order (images, channels, pixels), so that
// the mask is the one of the same picture in NCHW. y may be x.
void dropout_channels_last(const Dropout& d, std::int64_t images, std::int64_t channels,
                           std::int64_t pixels, const float* x, float* y);

}  // namespace fastconv
