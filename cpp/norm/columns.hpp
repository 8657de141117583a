// Rows of channels, cut up for parameters that repeat along them and for sums down them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/memory.hpp"
#include "core/threads.hpp"
#include "fastconv/norm.hpp"

namespace fastconv {

// A rows x channels matrix seen as fewer, longer rows where channels are few: `copies` rows side by
// side make one of `columns` floats, and `tail` floats are left over.
struct Folded {
  static constexpr std::int64_t kColumns = 64;  // at least; several vectors on every machine

  explicit Folded(const NormShape& shape) : channels(std::max<std::int64_t>(shape.channels, 1)) {
    copies = ceil_div(kColumns, std::min(channels, kColumns));
    columns = channels * copies;
    if (shape.channels == 0) return;
    rows = shape.rows / copies;
    tail = shape.rows % copies * channels;
  }

  std::int64_t channels, copies, columns, rows = 0, tail = 0;
};

// Vectors of one float a column.
class ColumnVectors {
 public:
  ColumnVectors(const Folded& folded, int vectors)
      : folded_(folded), memory_(folded.columns * vectors) {}

  float* operator[](int v) { return memory_.data() + v * folded_.columns; }

  void set(int v, std::int64_t channel, float value) {
    for (std::int64_t i = 0; i < folded_.copies; ++i) {
      (*this)[v][i * folded_.channels + channel] = value;
    }
  }

 private:
  Folded folded_;
  Scratch memory_;
};

// f(offset, length) for stretches of floats that start with a row, on all threads.
template <class F>
void for_each_stretch(const Folded& folded, const F& f) {
  constexpr std::int64_t kGrain = 16384;  // floats worth a thread
  const std::int64_t total = folded.rows * folded.columns + folded.tail;
  parallel_for(ceil_div(total, folded.columns), ceil_div(kGrain, folded.columns),
               [&](std::int64_t begin, std::int64_t end) {
                 const std::int64_t offset = begin * folded.columns;
                 f(offset, std::min(end * folded.columns, total) - offset);
               });
}

// Some rows of the matrix, and what their sums leave: vector v of one float a column.
struct Chunk {
  std::int64_t offset, rows, columns;
  float* sums;
  std::int64_t stride;

  float* vector(int v) const { return sums + v * stride; }
};

// Sums down the columns: a chunk of rows each, as the shape alone decides. The tail is a chunk of
// one row.
class ChunkSums {
 public:
  ChunkSums(const Folded& folded, int vectors)
      : folded_(folded),
        rows_(std::clamp<std::int64_t>(kFloats / folded.columns, 16, 512)),
        whole_(ceil_div(folded.rows, rows_)),
        size_(whole_ + (folded.tail > 0 ? 1 : 0)),
        vectors_(vectors),
        memory_(size_ * vectors * folded.columns) {}

  // f(chunk), on all threads.
  template <class F>
  void compute(const F& f) {
    parallel_for(size_, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) f(at(i));
    });
  }

  // f(chunk, start, channels) for all chunks, in ascending order: column start + c is one of
  // channel c's. Threads take some channels each.
  template <class F>
  void combine(const F& f) {
    constexpr std::int64_t kGrain = 4096;  // sums worth a thread
    parallel_for(folded_.channels, ceil_div(kGrain, std::max<std::int64_t>(1, size_)),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = 0; i < size_; ++i) {
                     const Chunk chunk = at(i);
                     for (std::int64_t start = 0; start < chunk.columns;
                          start += folded_.channels) {
                       f(chunk, start, Range{begin, end});
                     }
                   }
                 });
  }

 private:
  static constexpr std::int64_t kFloats = 32768;  // 128 KiB: read again, it comes from level 2

  Chunk at(std::int64_t i) {
    const bool whole = i < whole_;
    const std::int64_t first = whole ? i * rows_ : folded_.rows;
    return {first * folded_.columns, whole ? std::min(rows_, folded_.rows - first) : 1,
            whole ? folded_.columns : folded_.tail, memory_.data() + i * vectors_ * folded_.columns,
            folded_.columns};
  }

  Folded folded_;
  std::int64_t rows_, whole_, size_;
  int vectors_;
  Scratch memory_;
};

}  // namespace fastconv
