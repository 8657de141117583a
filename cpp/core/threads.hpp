// Threads: a team runs numbered tasks; nothing else in the library starts a thread.
//
// Results never depend on the number of threads: tasks write disjoint outputs, and sums are cut
// into pieces by the problem's shape alone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "fastconv/runtime.hpp"

namespace fastconv {

struct Range {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};

// Part `index` of [0, total) cut into `parts` pieces whose sizes differ by at most one,
// the larger ones first.
inline Range split(std::int64_t total, std::int64_t parts, std::int64_t index) {
  const std::int64_t small = total / parts, larger = total % parts;
  const std::int64_t begin = index * small + std::min(index, larger);
  return {begin, begin + small + (index < larger ? 1 : 0)};
}

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

// Calls body(context, i) for i in [0, members), on as many threads as come to help (team.hpp).
// Denormals are flushed to zero while it runs; the caller's mode is restored. `body` must not
// throw.
void run_team(int members, void (*body)(void* context, int member), void* context);

// While it lives, calls of this thread use `threads` threads; 0 leaves the count as it is.
class ThreadScope {
 public:
  explicit ThreadScope(int threads);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

// f(member) for every member of a team.
template <class F>
void parallel_team(int members, const F& f) {
  run_team(
      members, [](void* context, int member) { (*static_cast<const F*>(context))(member); },
      const_cast<F*>(&f));
}

// f(begin, end) over [0, total), cut evenly among the threads; no thread gets less than `grain`.
template <class F>
void parallel_for(std::int64_t total, std::int64_t grain, const F& f) {
  if (total <= 0) return;
  const int members = static_cast<int>(std::min<std::int64_t>(
      get_num_threads(), std::max<std::int64_t>(1, total / std::max<std::int64_t>(1, grain))));
  parallel_team(members, [&](int member) {
    const Range range = split(total, members, member);
    if (range.size() > 0) f(range.begin, range.end);
  });
}

}  // namespace fastconv
