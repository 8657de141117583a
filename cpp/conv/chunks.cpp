#include "conv/chunks.hpp"

#include <algorithm>

#include "gemm/tile.hpp"

namespace fastconv {

void unpack_weights(const float* sums, std::int64_t chunks, std::int64_t ld, std::int64_t channels,
                    std::int64_t taps, std::int64_t outputs, float* grad_weight) {
  constexpr std::int64_t kSide = 64;  // stretches of four cache lines, both read and written
  const TileKernels& kernels = tile_kernels();
  const std::int64_t length = channels * taps, across = ceil_div(outputs, kSide);
  parallel_for(across * ceil_div(length, kSide), ceil_div(8, chunks),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const std::int64_t first = i % across * kSide, k = i / across * kSide;
                   kernels.unpack_taps(sums + first, ld, chunks, length * ld, channels, taps,
                                       std::min(kSide, outputs - first), k,
                                       std::min(k + kSide, length), grad_weight + first * length);
                 }
               });
}

}  // namespace fastconv
