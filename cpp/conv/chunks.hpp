// What the gradients of weights share: tasks whose sums over pixels come in chunks.
#pragma once

#include "core/memory.hpp"
#include "core/threads.hpp"
#include "fastconv/conv.hpp"

namespace fastconv {

struct ChunkedGradient {
  std::int64_t tasks, chunks;  // task i belongs to chunk i % chunks
  std::int64_t scratch;        // floats that a thread needs
  std::int64_t ld;             // of a chunk's (taps, channels, outputs)
  int threads;
};

// What one task sums: (taps, channels, columns). A chunk's go among those of all tasks; where there
// is one chunk only, they stay in the task's own memory, in L2, until it writes its weights.
struct SumBlock {
  Range channels, columns;
  std::int64_t all_channels, taps;

  // Tap t of channel c, counted from the block's first, is row t * tap_rows + c.
  struct Rows {
    float* data;
    std::int64_t ld, tap_rows;
  };

  Rows among(float* sums, std::int64_t ld) const {
    return {sums + channels.begin * ld + columns.begin, ld, all_channels};
  }
  Rows own(float* memory) const { return {memory, odd_lines(columns.size()), channels.size()}; }

  // To weights (outputs, all_channels, taps), from memory of its own.
  void write(const Rows& sums, float* grad_weight) const;

  static std::int64_t own_floats(std::int64_t rows, std::int64_t columns) {
    return rows * odd_lines(columns);
  }
};

// The sum of `chunks` gradients (taps, channels, outputs), rows ld floats apart, added in their
// order, to weights (outputs, channels, taps).
void unpack_weights(const float* sums, std::int64_t chunks, std::int64_t ld, std::int64_t channels,
                    std::int64_t taps, std::int64_t outputs, float* grad_weight);

// run(task, group, scratch, sums of its chunk, the group's grad_weight) for all tasks of each
// group; then adds the chunks, in their order, and writes grad_weight. With one chunk, sums is null
// and tasks write grad_weight themselves.
template <class Run>
void sum_in_chunks(const Conv2dParams& p, const ChunkedGradient& c, float* grad_weight,
                   const Run& run) {
  const std::int64_t channels = p.in_channels / p.groups, outputs = p.out_channels / p.groups;
  const std::int64_t taps = p.kernel_h * p.kernel_w, size = taps * channels * c.ld;
  const std::int64_t my_scratch = round_up(c.scratch, 1024) + 64;
  Scratch scratch(c.threads * my_scratch);
  Scratch sums(c.chunks > 1 ? c.chunks * size : 0);
  for (std::int64_t g = 0; g < p.groups; ++g) {
    float* weights = grad_weight + g * outputs * channels * taps;
    parallel_team(c.threads, [&](int member) {
      const Range mine = split(c.tasks, c.threads, member);
      for (std::int64_t i = mine.begin; i < mine.end; ++i) {
        run(i, g, scratch.data() + member * my_scratch,
            c.chunks > 1 ? sums.data() + i % c.chunks * size : nullptr, weights);
      }
    });
    if (c.chunks > 1) {
      unpack_weights(sums.data(), c.chunks, c.ld, channels, taps, outputs, weights);
    }
  }
}

}  // namespace fastconv
