// The inside of a Network: what building it (steps.cpp) and running it (network.cpp) share.
#pragma once

#include <functional>
#include <vector>

#include "fastconv/network.hpp"
#include "network/memory.hpp"

namespace fastconv {

struct Network::Impl {
  using Step = std::function<void(const Memories&)>;

  // Steps that follow each other, or turns of such steps that do not.
  struct Stretch {
    std::vector<std::size_t> starts;  // of each turn
    std::size_t end = 0;
    bool turns = false;
  };

  Impl(const View& x, std::int64_t output, std::int64_t arena, int thread_count, std::int64_t turn)
      : input(x),
        output_floats(output),
        arena_floats(arena),
        turn_floats(turn),
        threads(thread_count),
        arenas(arena),
        turn_memories(turn) {}

  // Puts a step at the end of the last stretch.
  void add(Step step);
  void run_steps(std::size_t begin, std::size_t end, const Memories& at, double* seconds,
                 double share) const;
  void run_turns(const Stretch& stretch, const Memories& at, double* seconds);

  // Each fails unless the views are well formed, lie in their memory, and can be read and written.
  void check_read(const char* operation, const View& view) const;
  void check_write(const char* operation, const View& view) const;
  // And unless they are dense and hold as many floats as each other.
  void check_dense(const char* operation, const View& x, const View& y) const;

  // Tells the step with weights before which ones come next; returns where it will be told itself.
  std::shared_ptr<const NextWeights> announce(const NextWeights& weights);

  View input;
  std::int64_t output_floats, arena_floats, turn_floats;
  int threads;
  std::vector<float> byte_table;
  std::vector<Step> steps;
  std::vector<Stretch> stretches;
  std::shared_ptr<NextWeights> last_next;  // of the last step with weights
  ArenaPool arenas, turn_memories;
};

}  // namespace fastconv
