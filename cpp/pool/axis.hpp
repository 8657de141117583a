// One axis of a pooling: what each output reads, and which outputs read each input.
#pragma once

#include <cstdint>
#include <vector>

#include "fastconv/pool.hpp"
#include "pool/rows.hpp"

namespace fastconv {

struct PoolAxis {
  std::vector<Span> inputs;   // of each output: the input positions, `step` apart; never empty
  std::vector<float> counts;  // of each output: what its sum is divided by
  std::int64_t step = 1;
  std::int64_t widest = 0;  // of the spans in `inputs`

  std::int64_t size() const { return static_cast<std::int64_t>(inputs.size()); }
};

// The axes of a picture under a window, whose rules are checked here.
struct PoolAxes {
  PoolAxis h, w;
};
PoolAxes window_axes(const char* operation, PoolSize input, const PoolWindow& window);
PoolAxes adaptive_axes(const char* operation, PoolSize input, PoolSize output);

// Of each of `length` inputs: the outputs that read it, one contiguous span (step 1 only).
std::vector<Span> readers(const PoolAxis& axis, std::int64_t length);

}  // namespace fastconv
