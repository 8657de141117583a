#include "core/threads.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <string>

#include "core/error.hpp"
#include "core/team.hpp"

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace fastconv {
namespace {

// Flush-to-zero and denormals-are-zero while alive; the caller's mode afterwards.
class FlushDenormals {
 public:
#if defined(__SSE__)
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(saved_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned saved_;
#endif
};

std::atomic<int> g_threads{0};   // 0: follow OpenMP
thread_local int t_threads = 0;  // of a ThreadScope; 0: none

#if defined(_OPENMP)
// CPUs that the container may use (cgroup v2, then v1), rounded up; a large number if unlimited.
int cpu_quota() {
  constexpr int kUnlimited = 1 << 20;
  std::string quota;
  double period = 0;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> quota >> period) {
    if (quota == "max") return kUnlimited;
  } else {
    std::ifstream quota_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    std::ifstream period_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    if (!(quota_file >> quota && period_file >> period)) return kUnlimited;
  }
  const double cpus = std::atof(quota.c_str()) / period;
  return cpus > 0 ? std::max(1, static_cast<int>(cpus + 0.999)) : kUnlimited;
}

int default_threads() {
  static const int quota = cpu_quota();
  return std::max(1, std::min(omp_get_max_threads(), quota));
}
#else
int default_threads() { return 1; }
#endif

}  // namespace

bool has_openmp() {
#if defined(_OPENMP)
  return true;
#else
  return false;
#endif
}

ThreadScope::ThreadScope(int threads) : before_(t_threads) {
  if (threads > 0) t_threads = threads;
}

ThreadScope::~ThreadScope() { t_threads = before_; }

int get_num_threads() {
  if (t_threads > 0) return t_threads;
  const int threads = g_threads.load(std::memory_order_relaxed);
  return threads > 0 ? threads : default_threads();
}

void set_num_threads(int threads) {
  if (threads < 1) fail("set_num_threads", "threads must be at least 1", {{"threads", threads}});
  g_threads = threads;
}

void run_team(int members, void (*body)(void*, int), void* context) {
  struct Work {
    void (*body)(void*, int);
    void* context;
  } work = {body, context};
  team().run(
      members,
      [](void* w, int member) {
        FlushDenormals flush;
        static_cast<Work*>(w)->body(static_cast<Work*>(w)->context, member);
      },
      &work);
}

}  // namespace fastconv
