#include "core/memory.hpp"

#include <cstdlib>
#include <limits>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fastconv {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::int64_t kLine = 16;                             // floats in a cache line
constexpr std::int64_t kStackFloats = std::int64_t{16} << 20;  // 64 MiB of address space a thread

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

AlignedBuffer::~AlignedBuffer() { std::free(data_); }

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
