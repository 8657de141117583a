// The team of threads: every task once, whoever calls, from wherever.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "core/threads.hpp"
#include "expect.hpp"

using namespace fastconv;

namespace {

void count_every_task_once(int tasks) {
  std::vector<int> seen(static_cast<std::size_t>(tasks), 0);
  parallel_team(tasks, [&](int i) { ++seen[static_cast<std::size_t>(i)]; });
  for (int count : seen) EXPECT(count == 1);
}

void test_many_small_teams() {
  for (int round = 0; round < 20000; ++round) count_every_task_once(1 + round % 9);
}

void test_after_the_workers_have_gone_to_sleep() {
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    count_every_task_once(4);
  }
}

void test_teams_inside_teams() {
  std::atomic<int> count{0};
  parallel_team(4, [&](int) { parallel_team(3, [&](int) { ++count; }); });
  EXPECT(count == 12);
}

void test_several_callers_at_once() {
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 3000; ++round) {
        std::vector<std::int64_t> values(64, 0);
        parallel_for(64, 1, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) values[static_cast<std::size_t>(i)] += i;
        });
        for (std::size_t i = 0; i < values.size(); ++i) {
          if (values[i] != static_cast<std::int64_t>(i)) ++wrong;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT(wrong == 0);
}

}  // namespace

int main() {
  set_num_threads(4);
  test_many_small_teams();
  test_after_the_workers_have_gone_to_sleep();
  test_teams_inside_teams();
  test_several_callers_at_once();
  return tests::failures == 0 ? 0 : 1;
}
