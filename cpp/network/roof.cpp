// The memory roof: how fast all threads together can read.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "core/memory.hpp"
#include "core/threads.hpp"
#include "fastconv/network.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kFloats = std::int64_t{32} << 20;  // 128 MiB: more than a core's share of L3

// Sixteen sums side by side: the additions then wait for memory, not for each other.
float sum(const float* x, std::int64_t count) {
  float sums[16] = {};
  for (std::int64_t i = 0; i + 16 <= count; i += 16) {
    for (int j = 0; j < 16; ++j) sums[j] += x[i + j];
  }
  float total = 0;
  for (float s : sums) total += s;
  return total;
}

}  // namespace

double measure_read_bandwidth(double seconds) {
  using Clock = std::chrono::steady_clock;
  const int threads = get_num_threads();
  AlignedBuffer memory(kFloats);
  std::vector<float> sums(static_cast<std::size_t>(threads));
  const auto pass = [&](bool fill) {
    parallel_team(threads, [&](int i) {
      const Range range = split(kFloats, threads, i);
      float* data = memory.data() + range.begin;
      if (fill) {
        std::memset(data, 0, static_cast<std::size_t>(range.size()) * sizeof(float));
      } else {
        sums[static_cast<std::size_t>(i)] = sum(data, range.size());
      }
    });
  };
  pass(true);
  const auto start = Clock::now();
  double best = 0, elapsed = 0;
  while (elapsed < seconds || best == 0) {
    pass(false);
    const double now = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(kFloats) * sizeof(float) / (now - elapsed));
    elapsed = now;
  }
  volatile float sink = *std::max_element(sums.begin(), sums.end());
  static_cast<void>(sink);
  return best / 1e9;
}

}  // namespace fastconv
