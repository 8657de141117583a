#include "conv/chunks.hpp"

#include <algorithm>

#include "gemm/tile.hpp"

namespace fastconv {

void SumBlock::write(const Rows& sums, float* grad_weight) const {
  constexpr std::int64_t kWide = 16;  // rows of weights at a time: as many as prefetchers follow
  const TileKernels& kernels = tile_kernels();
  const std::int64_t length = all_channels * taps, rows = channels.size() * taps;
  float* to = grad_weight + columns.begin * length + channels.begin * taps;
  for (std::int64_t first = 0; first < columns.size(); first += kWide) {
    kernels.unpack_taps(sums.data + first, sums.ld, 1, 0, channels.size(), taps,
                        std::min(kWide, columns.size() - first), 0, rows, to + first * length,
                        length);
  }
}

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
                                       std::min(k + kSide, length), grad_weight + first * length,
                                       length);
                 }
               });
}

}  // namespace fastconv
