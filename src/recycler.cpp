#include "recycler.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace fastconv::python {
namespace {

constexpr std::int64_t kLine = 64;  // bytes
constexpr std::int64_t kHugePage = std::int64_t{2} << 20;

std::int64_t round_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b * b; }

}  // namespace

// Twice the machine's memory, which leaves room for gaps between long-lived blocks. Where addresses
// are limited, others need them.
void Recycler::reserve() {
  reserved_ = true;
#if defined(__linux__)
  rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) return;
  const std::int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  capacity_ = round_up(2 * std::max<std::int64_t>(pages * page, 1), kHugePage);
  void* memory = mmap(nullptr, static_cast<std::size_t>(capacity_ + kHugePage),
                      PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return;
  const auto address = reinterpret_cast<std::intptr_t>(memory);
  base_ = reinterpret_cast<char*>(round_up(address, kHugePage));
#if defined(MADV_HUGEPAGE)
  madvise(base_, static_cast<std::size_t>(capacity_), MADV_HUGEPAGE);  // a hint
#endif
#endif
}

float* Recycler::take(std::int64_t floats) {
  if (floats < 0 || floats > std::numeric_limits<std::int64_t>::max() / 8) throw std::bad_alloc();
  if (!reserved_) reserve();
  const std::int64_t size = round_up(std::max<std::int64_t>(floats, 1) * 4, kLine);
  const std::int64_t begin = take_gap(size);
  if (begin >= 0) {
    blocks_[begin] = begin + size;
    count(size);
    return reinterpret_cast<float*>(base_ + begin);
  }
  void* memory = std::aligned_alloc(kLine, static_cast<std::size_t>(size));
  if (memory == nullptr) throw std::bad_alloc();
  alone_[memory] = size;
  count(size);
  return static_cast<float*>(memory);
}

std::int64_t Recycler::take_gap(std::int64_t size) {
  // The system refuses what the machine's memory cannot hold; the stretch would not.
  if (base_ == nullptr || size > capacity_ / 2) return -1;
  const auto fit = by_size_.lower_bound({size, 0});
  if (fit != by_size_.end()) {
    const std::int64_t begin = fit->second;
    const auto gap = gaps_.find(begin);
    const std::int64_t end = gap->second;
    drop_gap(gap);
    if (end > begin + size) add_gap(begin + size, end);
    return begin;
  }
  // A gap at the end grows.
  const bool open = !gaps_.empty() && gaps_.rbegin()->second == end_;
  const std::int64_t begin = open ? gaps_.rbegin()->first : end_;
  if (size > capacity_ - begin) return -1;
  if (open) drop_gap(std::prev(gaps_.end()));
  end_ = begin + size;
  return begin;
}

void Recycler::give(float* memory) {
  const auto alone = alone_.find(memory);
  if (alone != alone_.end()) {
    count(-alone->second);
    alone_.erase(alone);
    return std::free(memory);
  }
  const std::int64_t begin = reinterpret_cast<char*>(memory) - base_;
  const auto block = blocks_.find(begin);
  std::int64_t first = begin, last = block->second;
  count(first - last);
  blocks_.erase(block);
  const auto after = gaps_.find(last);
  if (after != gaps_.end()) {
    last = after->second;
    drop_gap(after);
  }
  const auto next = gaps_.lower_bound(first);
  if (next != gaps_.begin() && std::prev(next)->second == first) {
    first = std::prev(next)->first;
    drop_gap(std::prev(next));
  }
  add_gap(first, last);
}

void Recycler::count(std::int64_t bytes) {
  used_ += bytes;
  peak_ = std::max(peak_, used_);
}

void Recycler::release() {
#if defined(__linux__)
  const std::int64_t page = sysconf(_SC_PAGESIZE);
  for (const auto& [begin, end] : gaps_) {
    const std::int64_t first = round_up(begin, page), last = end / page * page;
    if (first < last) {
      madvise(base_ + first, static_cast<std::size_t>(last - first), MADV_DONTNEED);
    }
  }
#endif
}

void Recycler::add_gap(std::int64_t begin, std::int64_t end) {
  gaps_[begin] = end;
  by_size_.insert({end - begin, begin});
}

void Recycler::drop_gap(std::map<std::int64_t, std::int64_t>::iterator gap) {
  by_size_.erase({gap->second - gap->first, gap->first});
  gaps_.erase(gap);
}

}  // namespace fastconv::python
