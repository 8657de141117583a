// What a network's steps read and write while it runs.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/memory.hpp"
#include "fastconv/network.hpp"

namespace fastconv {

// The memories of one run, and views as pointers into them.
struct Memories {
  const float* input;
  float* arena;
  float* output;
  float* turn;

  const float* read(const View& view) const {
    switch (view.memory) {
      case View::Memory::input:
        return input + view.offset;
      case View::Memory::output:
        return output + view.offset;
      case View::Memory::turn:
        return turn + view.offset;
      default:
        return arena + view.offset;
    }
  }
  // As read(), of any memory but the input.
  float* write(const View& view) const { return const_cast<float*>(read(view)); }
};

// Arenas of one size: a run takes one and gives it back. As many exist as runs were ever at work at
// the same time, so that in the long run nothing is allocated.
class ArenaPool {
 public:
  explicit ArenaPool(std::int64_t floats) : floats_(floats) {}

  // Holds an arena as long as it lives.
  class Lease {
   public:
    explicit Lease(ArenaPool& pool) : pool_(pool), arena_(pool.take()) {}
    ~Lease() { pool_.give_back(std::move(arena_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    float* data() { return arena_.data(); }

   private:
    ArenaPool& pool_;
    AlignedBuffer arena_;
  };

 private:
  AlignedBuffer take();
  void give_back(AlignedBuffer arena) noexcept;

  std::int64_t floats_;
  std::mutex mutex_;
  std::vector<AlignedBuffer> free_;
  std::size_t count_ = 0;
};

}  // namespace fastconv
