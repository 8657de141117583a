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

// The sum of `chunks` gradients (taps, channels, outputs), rows ld floats apart, added in their
// order, to weights (outputs, channels, taps).
void unpack_weights(const float* sums, std::int64_t chunks, std::int64_t ld, std::int64_t channels,
                    std::int64_t taps, std::int64_t outputs, float* grad_weight);

// run(task, group, scratch, sums of its chunk) for all tasks of each group; then adds the chunks,
// in their order, and writes grad_weight.
template <class Run>
void sum_in_chunks(const Conv2dParams& p, const ChunkedGradient& c, float* grad_weight,
                   const Run& run) {
  const std::int64_t channels = p.in_channels / p.groups, outputs = p.out_channels / p.groups;
  const std::int64_t taps = p.kernel_h * p.kernel_w, size = taps * channels * c.ld;
  const std::int64_t my_scratch = round_up(c.scratch, 1024) + 64;
  Scratch scratch(c.threads * my_scratch);
  Scratch sums(c.chunks * size);
  for (std::int64_t g = 0; g < p.groups; ++g) {
    parallel_team(c.threads, [&](int member) {
      const Range mine = split(c.tasks, c.threads, member);
      for (std::int64_t i = mine.begin; i < mine.end; ++i) {
        run(i, g, scratch.data() + member * my_scratch, sums.data() + i % c.chunks * size);
      }
    });
    unpack_weights(sums.data(), c.chunks, c.ld, channels, taps, outputs,
                   grad_weight + g * outputs * channels * taps);
  }
}

}  // namespace fastconv
