#include "network/memory.hpp"

#include <cstdio>
#include <new>

namespace fastconv {
namespace {

// Python turns any std::bad_alloc into a MemoryError with its message.
class NoMemoryForArena : public std::bad_alloc {
 public:
  explicit NoMemoryForArena(std::int64_t floats) {
    std::snprintf(message_, sizeof(message_), "compile: no memory for the arena (bytes=%lld)",
                  static_cast<long long>(floats) * 4);
  }
  const char* what() const noexcept override { return message_; }

 private:
  char message_[80];
};

}  // namespace

AlignedBuffer ArenaPool::take() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!free_.empty()) {
      AlignedBuffer arena = std::move(free_.back());
      free_.pop_back();
      return arena;
    }
  }
  try {
    AlignedBuffer arena(floats_);
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.reserve(++count_);  // so that giving it back cannot fail
    return arena;
  } catch (const std::bad_alloc&) {
    throw NoMemoryForArena(floats_);
  }
}

void ArenaPool::give_back(AlignedBuffer arena) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  free_.push_back(std::move(arena));
}

}  // namespace fastconv
