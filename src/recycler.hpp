// Memory for results, kept for the results that follow.
//
// A training step makes and drops the same arrays again and again. Given back to the system, each
// would return as pages that fault in and are cleared one by one, which costs about as much as
// computing their contents.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

namespace fastconv::python {

// One stretch of addresses, of which the system lends pages as they are touched: the smallest gap
// that fits is cut, neighbouring gaps grow together, and so results of all sizes share the memory.
// What finds no room there is allocated alone. Called with the GIL held, which is its lock.
class Recycler {
 public:
  // Floats on a cache line's boundary, uninitialised. Throws std::bad_alloc.
  float* take(std::int64_t floats);
  void give(float* memory);

  // Hands the pages of all gaps back to the system.
  void release();

  // Bytes in use, and the most there ever were.
  std::int64_t used_bytes() const { return used_; }
  std::int64_t peak_bytes() const { return peak_; }

 private:
  void reserve();
  std::int64_t take_gap(std::int64_t size);  // where it begins; -1 where there is no room
  void count(std::int64_t bytes);
  void add_gap(std::int64_t begin, std::int64_t end);
  void drop_gap(std::map<std::int64_t, std::int64_t>::iterator gap);

  char* base_ = nullptr;  // null where the system gives no such addresses
  bool reserved_ = false;
  std::int64_t capacity_ = 0, end_ = 0;        // bytes reserved; bytes below which there are blocks
  std::map<std::int64_t, std::int64_t> gaps_;  // begin -> end
  std::set<std::pair<std::int64_t, std::int64_t>> by_size_;  // (size, begin) of the same
  std::unordered_map<std::int64_t, std::int64_t> blocks_;    // begin -> end
  std::unordered_map<void*, std::int64_t> alone_;            // -> bytes
  std::int64_t used_ = 0, peak_ = 0;
};

}  // namespace fastconv::python
