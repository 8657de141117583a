// Memory for results, kept for the next result of its size.
//
// A training step makes and drops the same arrays again and again. Given back to the system, each
// would return as pages that fault in and are cleared one by one, which costs about as much as
// computing their contents.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "core/memory.hpp"

namespace fastconv::python {

// Called with the GIL held, which is its lock.
class Recycler {
 public:
  AlignedBuffer take(std::int64_t floats) {
    std::vector<AlignedBuffer>& shelf = shelves_[size_class(floats)];
    if (shelf.empty()) return AlignedBuffer(size_class(floats));
    AlignedBuffer buffer = std::move(shelf.back());
    shelf.pop_back();
    kept_ -= buffer.size();
    return buffer;
  }

  void give(AlignedBuffer buffer) {
    if (buffer.size() > kMostKept) return;  // to the system
    if (kept_ + buffer.size() > kMostKept) {  // of sizes that were asked for long ago, perhaps
      shelves_.clear();
      kept_ = 0;
    }
    kept_ += buffer.size();
    shelves_[buffer.size()].push_back(std::move(buffer));
  }

 private:
  static constexpr std::int64_t kMostKept = std::int64_t{64} << 20;  // floats: 256 MiB

  // Sizes in steps of at most an eighth, so that similar results share memory.
  static std::int64_t size_class(std::int64_t floats) {
    std::int64_t step = 16;
    while (step * 16 < floats) step *= 2;
    return (floats + step - 1) / step * step;
  }

  std::unordered_map<std::int64_t, std::vector<AlignedBuffer>> shelves_;
  std::int64_t kept_ = 0;
};

}  // namespace fastconv::python
