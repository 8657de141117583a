// What a weights' gradient asks for while it multiplies: the pixels that it reads next.
#pragma once

#include <algorithm>

#include "core/threads.hpp"
#include "gemm/tile.hpp"

namespace fastconv {

// Some channels of pixels that lie evenly spaced in memory.
struct Pixels {
  const float* first;
  std::int64_t spacing, channels, count;

  std::int64_t lines() const { return ceil_div(channels, kLine); }

  static constexpr std::int64_t kLine = 16;
};

// Spreads them over the products of a strip, which are `calls` of tiles and panels with a k of
// `depth`, evenly as far as that is simple: memory has other things to bring, too.
class AskAhead {
 public:
  AskAhead(const Pixels& x, const Pixels& grad, std::int64_t calls, std::int64_t depth)
      : pixels_{x, grad}, steps_(calls * depth), depth_(depth) {}

  // Of the `calls` that follow the first `call`: all of one picture's.
  Fetch share(std::int64_t call, std::int64_t calls) const {
    const Fetch of_x = share_of(pixels_[0], call, calls);
    return call < 0 ? of_x : share_of(pixels_[1], call, calls);
  }

 private:
  static constexpr std::int64_t kMostSteps = 4;  // with each line

  // Leaves in `call` how many calls after the last one with something to ask for, if any are.
  Fetch share_of(const Pixels& p, std::int64_t& call, std::int64_t calls) const {
    const std::int64_t all =
        pixels_[0].count * pixels_[0].lines() + pixels_[1].count * pixels_[1].lines();
    const std::int64_t lines = std::max<std::int64_t>(1, p.lines());
    std::int64_t steps = 1;
    while (steps < kMostSteps && 2 * steps * all <= steps_ && 2 * steps * lines <= depth_)
      steps *= 2;
    const std::int64_t at_once = std::max<std::int64_t>(1, depth_ / (lines * steps));
    const std::int64_t begin = call * at_once, needed = ceil_div(p.count, at_once);
    call -= round_up(needed, calls);
    return {p.first + begin * p.spacing,
            p.spacing,
            lines * steps,
            Pixels::kLine / steps,
            at_once,
            std::clamp<std::int64_t>(ceil_div(p.count - begin, at_once), 0, calls)};
  }

  Pixels pixels_[2];
  std::int64_t steps_, depth_;
};

}  // namespace fastconv
