#include "core/peak.hpp"

#include <chrono>
#include <vector>

#include "core/threads.hpp"

namespace fastconv {

double measure_peak_gflops(double seconds) {
  using Clock = std::chrono::steady_clock;
  const int threads = get_num_threads();
  const PeakKernels& kernels = peak_kernels();
  struct alignas(64) Result {
    double gflops;
    float sink;
  };
  std::vector<Result> results(static_cast<std::size_t>(threads));
  parallel_team(threads, [&](int i) {
    Result& result = results[static_cast<std::size_t>(i)];
    double flop = 0, elapsed = 0;
    const auto start = Clock::now();
    while (elapsed < seconds) {
      flop += static_cast<double>(kernels.fma(20'000, &result.sink));
      elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    }
    result.gflops = flop / elapsed / 1e9;
  });
  double total = 0;
  for (const Result& result : results) total += result.gflops;
  return total;
}

}  // namespace fastconv
