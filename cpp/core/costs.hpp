// What estimates of time, for choices among algorithms and cuts, have in common.
#pragma once

#include <algorithm>

namespace fastconv {

// Floats a cycle that reach one core; from another core's cache, line by line as they are asked
// for.
constexpr double kFromMemory = 1.3, kFromL3 = 2, kFromNeighbour = 0.5;

// Cycles from one register tile to the next: addresses, first loads, and the multipliers' latency.
constexpr double kTileStart = 40;

// Cycles of computing while data is fetched ahead, which costs some of its time even where there is
// more to compute.
inline double overlapped(double computing, double fetching) {
  return std::max(computing, fetching) + 0.3 * std::min(computing, fetching);
}

}  // namespace fastconv
