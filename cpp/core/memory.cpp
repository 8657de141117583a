#include "core/memory.hpp"

#include <cstdlib>
#include <limits>
#include <mutex>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fastconv {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::int64_t kLine = 16;                             // floats in a cache line
constexpr std::int64_t kStackFloats = std::int64_t{16} << 20;  // 64 MiB of address space a thread
constexpr std::int64_t kRegionFloats = std::int64_t{8} << 20;  // that lasting blocks share

// A bump allocator; pages are touched, and so taken from the system, only as far as it is used.
struct ScratchStack {
  AlignedBuffer memory;
  std::int64_t used = 0;
};

thread_local ScratchStack t_stack;

std::int64_t padded(std::int64_t floats) { return (floats + kLine - 1) / kLine * kLine; }

}  // namespace

AlignedBuffer::AlignedBuffer(std::int64_t floats) : size_(floats) {
  if (floats < 0 || floats > std::numeric_limits<std::int64_t>::max() / 8) throw std::bad_alloc();
  const std::size_t bytes = static_cast<std::size_t>(padded(floats)) * sizeof(float);
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : 64;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  if (rounded == 0) return;
  data_ = static_cast<float*>(std::aligned_alloc(alignment, rounded));
  if (data_ == nullptr) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  if (alignment == kHugePage)
    madvise(data_, rounded, MADV_HUGEPAGE);  // a hint; failure is harmless
#endif
}

AlignedBuffer AlignedBuffer::lasting(std::int64_t floats) {
  const std::int64_t size = padded(floats);
  if (floats <= 0 || size > kRegionFloats / 4) return AlignedBuffer(floats);
  static std::mutex mutex;
  static std::shared_ptr<AlignedBuffer> newest;
  static std::int64_t used;  // of the newest region
  const std::lock_guard<std::mutex> lock(mutex);
  if (newest.use_count() == 1) used = 0;
  if (newest == nullptr || used + size > kRegionFloats) {
    newest = std::make_shared<AlignedBuffer>(kRegionFloats);
    used = 0;
  }
  AlignedBuffer block;
  block.data_ = newest->data() + used;
  block.size_ = floats;
  block.region_ = newest;
  used += size;
  return block;
}

AlignedBuffer::~AlignedBuffer() {
  if (region_ == nullptr) std::free(data_);
}

Scratch::Scratch(std::int64_t floats) {
  const std::int64_t size = padded(floats);
  ScratchStack& stack = t_stack;
  if (size > kStackFloats - stack.used) {
    own_ = AlignedBuffer(floats);
    data_ = own_.data();
    return;
  }
  if (stack.memory.data() == nullptr) stack.memory = AlignedBuffer(kStackFloats);
  data_ = stack.memory.data() + stack.used;
  stack.used += size;
  taken_ = size;
}

Scratch::~Scratch() { t_stack.used -= taken_; }

}  // namespace fastconv
