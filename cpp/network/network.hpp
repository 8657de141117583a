// The inside of a Network: what building it (steps.cpp) and running it (network.cpp) share.
#pragma once

#include <functional>
#include <vector>

#include "fastconv/network.hpp"
#include "network/memory.hpp"

namespace fastconv {

struct Network::Impl {
  using Step = std::function<void(const Memories&)>;

  Impl(const View& x, std::int64_t output, std::int64_t arena, int thread_count)
      : input(x),
        output_floats(output),
        arena_floats(arena),
        threads(thread_count),
        arenas(arena) {}

  // Each fails unless the views are well formed, lie in their memory, and can be read and written.
  void check_read(const char* operation, const View& view) const;
  void check_write(const char* operation, const View& view) const;
  // And unless they are dense and hold as many floats as each other.
  void check_dense(const char* operation, const View& x, const View& y) const;

  // Tells the step with weights before which ones come next; returns where it will be told itself.
  std::shared_ptr<const NextWeights> announce(const NextWeights& weights);

  View input;
  std::int64_t output_floats, arena_floats;
  int threads;
  std::vector<float> byte_table;
  std::vector<Step> steps;
  std::shared_ptr<NextWeights> last_next;  // of the last step with weights
  ArenaPool arenas;
};

}  // namespace fastconv
