#include "conv/chunks.hpp"

#include <algorithm>

#include "gemm/tile.hpp"

namespace fastconv {

void add_chunks(float* sums, std::int64_t chunks, std::int64_t size) {
  if (chunks < 2) return;
  const TileKernels& kernels = tile_kernels();
  parallel_for(ceil_div(size, 1024), 4, [&](std::int64_t begin, std::int64_t end) {
    begin *= 1024;
    end = std::min(end * 1024, size);
    kernels.add_rows(sums + size + begin, size, chunks - 1, end - begin, sums + begin);
  });
}

void unpack_weights(const float* sums, std::int64_t ld, std::int64_t channels, std::int64_t taps,
                    std::int64_t outputs, float* grad_weight) {
  const TileKernels& kernels = tile_kernels();
  const std::int64_t block = kernels.lanes;
  parallel_for(ceil_div(outputs, block), ceil_div(2048, channels * taps),
               [&](std::int64_t begin, std::int64_t end) {
                 begin *= block;
                 end = std::min(end * block, outputs);
                 kernels.unpack_taps(sums + begin, ld, channels, taps, end - begin,
                                     grad_weight + begin * channels * taps);
               });
}

}  // namespace fastconv
