// What estimates of time, for choices among algorithms and cuts, have in common.
#pragma once

#include <algorithm>

namespace fastconv {

// Floats a cycle that reach one core; from another core's cache, line by line as they are asked
// for.
constexpr double kFromMemory = 1.3, kFromL3 = 2, kFromNeighbour = 0.5;

// Cycles from one register tile to the next: addresses, first loads, and the multipliers' latency.
constexpr double kTileStart = 40;

// Multiply-adds of whole vectors that a core begins a cycle.
double fma_rate();

// Whether the level-3 cache lies beside the few cores that share it, rather than in slices all over
// the chip: quicker to read, and shared by what they read at the same time.
bool l3_is_near();

// Cycles of computing while data is fetched ahead, which costs some of its time even where there is
// more to compute.
inline double overlapped(double computing, double fetching) {
  return std::max(computing, fetching) + 0.3 * std::min(computing, fetching);
}

}  // namespace fastconv
