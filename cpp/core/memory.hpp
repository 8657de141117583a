// Aligned memory, and scratch memory that a thread keeps between calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace fastconv {

// At least so many floats, in an odd number of cache lines: what lies so far apart falls into
// different sets of L1.
inline std::int64_t odd_lines(std::int64_t floats) { return ((floats + 15) / 16 | 1) * 16; }

// Floats on a 64-byte boundary, uninitialised; large blocks ask the system for huge pages.
// Throws std::bad_alloc.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::int64_t floats);
  // For packed weights: small blocks share huge pages, which they keep until the last is gone.
  static AlignedBuffer lasting(std::int64_t floats);
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        region_(std::move(other.region_)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(region_, other.region_);
    return *this;
  }
  ~AlignedBuffer();

  float* data() { return data_; }
  const float* data() const { return data_; }
  std::int64_t size() const { return size_; }

 private:
  float* data_ = nullptr;
  std::int64_t size_ = 0;
  std::shared_ptr<AlignedBuffer> region_;  // that data_ is a part of, or null
};

// Uninitialised floats that live until this object ends. Small blocks come from a stack that the
// calling thread keeps, so that repeated calls neither allocate nor fault pages in.
// Take it before a parallel region: it may throw std::bad_alloc.
class Scratch {
 public:
  explicit Scratch(std::int64_t floats);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  float* data() { return data_; }

 private:
  AlignedBuffer own_;
  float* data_ = nullptr;
  std::int64_t taken_ = 0;
};

}  // namespace fastconv
