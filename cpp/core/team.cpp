#include "core/team.hpp"

#include <system_error>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace fastconv {
namespace {

constexpr std::uint32_t kClosed = 0xffffffffu;

// Rounds of looking for work before a worker sleeps: some 400 microseconds, more than lies between
// two layers, or than one thread takes for the small ones of a training step, and less than anybody
// minds.
constexpr int kSpins = 10000;
// Rounds of waiting for another thread's task before the caller offers it this core.
constexpr int kPatience = 2000;

thread_local bool t_inside = false;  // a task is running: its own regions stay on this thread

void pause() {
#if defined(__SSE__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

std::uint64_t job_of(std::uint64_t ticket) { return ticket >> 32; }

std::atomic<Team*> g_team{nullptr};

#if defined(__unix__) || defined(__APPLE__)
// Threads do not survive a fork. The parent's team is left as it is: its locks may be held.
const int g_at_fork = pthread_atfork(nullptr, nullptr, [] { g_team = nullptr; });
#endif

}  // namespace

Team& team() {
  Team* current = g_team.load(std::memory_order_acquire);
  if (current == nullptr) {
    Team* fresh = new Team;  // never deleted: workers may outlive every static object
    if (g_team.compare_exchange_strong(current, fresh)) return *fresh;
    delete fresh;
  }
  return *current;
}

bool Team::claim(Task& task) {
  std::uint64_t ticket = ticket_.load();
  for (;;) {
    const auto next = static_cast<std::uint32_t>(ticket);
    if (next >= members_.load(std::memory_order_acquire)) return false;
    task = {body_.load(std::memory_order_relaxed), context_.load(std::memory_order_relaxed),
            static_cast<int>(next)};
    // Succeeds only while the ticket is the one read above, and then so are the job's data: they
    // change between jobs, when the ticket says closed.
    if (ticket_.compare_exchange_weak(ticket, ticket + 1)) return true;
  }
}

void Team::execute(const Task& task) {
  t_inside = true;
  task.body(task.context, task.member);
  t_inside = false;
  done_.fetch_add(1, std::memory_order_release);
}

void Team::run(int members, Body body, void* context) {
  std::unique_lock<std::mutex> lock(caller_, std::defer_lock);
  if (members <= 1 || t_inside || !lock.try_lock()) {
    const bool outside = !t_inside;
    t_inside = true;
    for (int i = 0; i < members; ++i) body(context, i);
    if (outside) t_inside = false;
    return;
  }
  hire(members - 1);

  const std::uint64_t job = job_of(ticket_.load()) + 1;
  ticket_.store(job << 32 | kClosed);
  done_.store(0, std::memory_order_relaxed);
  body_.store(body, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  members_.store(static_cast<std::uint32_t>(members), std::memory_order_release);
  ticket_.store((job + 1) << 32);
  if (sleepers_.load() > 0) {
    {
      std::lock_guard<std::mutex> hold(sleep_);
    }  // nobody is between looking and sleeping
    wake_.notify_all();
  }

  Task task;
  while (claim(task)) execute(task);
  for (int i = 0; done_.load(std::memory_order_acquire) != static_cast<std::uint32_t>(members);
       ++i) {
    i < kPatience ? pause() : std::this_thread::yield();
  }
}

void Team::work() {
  Task task;
  for (int idle = 0;;) {
    const std::uint64_t seen = job_of(ticket_.load());
    if (claim(task)) {
      execute(task);
      idle = 0;
    } else if (++idle < kSpins) {
      pause();
    } else {
      std::unique_lock<std::mutex> lock(sleep_);
      ++sleepers_;
      wake_.wait(lock, [&] { return job_of(ticket_.load()) != seen; });
      --sleepers_;
      idle = 0;
    }
  }
}

void Team::hire(int workers) {
  try {
    for (; workers_ < workers; ++workers_) std::thread([this] { work(); }).detach();
  } catch (const std::system_error&) {
    // No more threads to be had: those there are, and the caller, do the work.
  }
}

}  // namespace fastconv
