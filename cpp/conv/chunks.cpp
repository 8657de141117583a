#include "conv/chunks.hpp"

#include <algorithm>

#include "gemm/tile.hpp"

namespace fastconv {

void unpack_weights(const float* sums, std::int64_t chunks, std::int64_t ld, std::int64_t channels,
                    std::int64_t taps, std::int64_t outputs, float* grad_weight) {
  constexpr std::int64_t kStretch = 128;  // of k; read 16 outputs wide, it stays in L1
  const TileKernels& kernels = tile_kernels();
  const std::int64_t block = kernels.lanes, length = channels * taps;
  const std::int64_t stretches = ceil_div(length, kStretch);
  parallel_for(ceil_div(outputs, block) * stretches, ceil_div(16, chunks),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const std::int64_t first = i / stretches * block;
                   const std::int64_t k = i % stretches * kStretch;
                   kernels.unpack_taps(sums + first, ld, chunks, taps * channels * ld, channels,
                                       taps, std::min(block, outputs - first), k,
                                       std::min(k + kStretch, length),
                                       grad_weight + first * length);
                 }
               });
}

}  // namespace fastconv
