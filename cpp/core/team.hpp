// A team of threads that works through numbered tasks.
//
// OpenMP's region ends when every thread of its team has passed a barrier, also those that came too
// late to find work; on a machine that others use too, a region of microseconds then lasts until
// the scheduler returns to a thread that has nothing to do. Here tasks are claimed: whoever is
// there takes the next, the caller does them all if nobody comes, and only tasks that another
// thread has begun are waited for.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace fastconv {

class Team {
 public:
  using Body = void (*)(void* context, int member);

  // body(context, i) for i in [0, members), on the calling thread and on workers that are made as
  // needed and kept. Where the team is busy with another caller's tasks, all on this thread.
  void run(int members, Body body, void* context);

 private:
  struct Task {
    Body body;
    void* context;
    int member;
  };

  bool claim(Task& task);
  void execute(const Task& task);
  void work();
  void hire(int workers);

  // Job number in the upper half, next task in the lower. kClosed in the lower half: between jobs.
  std::atomic<std::uint64_t> ticket_{0};
  std::atomic<std::uint32_t> members_{0};
  std::atomic<Body> body_{nullptr};
  std::atomic<void*> context_{nullptr};
  alignas(64) std::atomic<std::uint32_t> done_{0};

  std::mutex caller_;
  int workers_ = 0;

  std::mutex sleep_;
  std::condition_variable wake_;
  std::atomic<int> sleepers_{0};
};

// The process's team; a forked child gets one of its own.
Team& team();

}  // namespace fastconv
