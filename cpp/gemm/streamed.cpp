#include "gemm/streamed.hpp"

#include <algorithm>
#include <vector>

#include "core/memory.hpp"
#include "core/threads.hpp"
#include "gemm/tile.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kMostRows = 64;  // more use a packed B often enough to write it out
constexpr std::int64_t kDepth = 256;    // k of a block
constexpr std::int64_t kPackedRows = 16;

// Columns of a block: a row of B that is contiguous is read as a stretch of some 4 KiB.
std::int64_t block_columns(std::int64_t nr) {
  const std::int64_t l2 = static_cast<std::int64_t>(l2_cache_bytes() / sizeof(float));
  return std::clamp<std::int64_t>(l2 / 3 / kDepth / nr * nr, nr, 1024);
}

void ask(const float* p, std::int64_t floats) {
  constexpr std::int64_t kLine = 16;
  for (std::int64_t i = 0; i < floats; i += kLine) __builtin_prefetch(p + i, 0, 2);
}

}  // namespace

bool streaming_pays(const GemmShape& s) {
  const double b_bytes = 4.0 * static_cast<double>(s.k) * static_cast<double>(s.n);
  return !s.trans_a && s.m <= kMostRows && b_bytes > 2.0 * static_cast<double>(l2_cache_bytes());
}

void gemm_streamed(const GemmShape& s, float alpha, const float* a, const float* b, float beta,
                   float* c, const Epilogue& epilogue) {
  const TileKernels& kernels = tile_kernels();
  const std::int64_t nr = kernels.nr, panels = ceil_div(s.n, nr);
  const std::int64_t k_stride = s.trans_b ? 1 : s.ldb, n_stride = s.trans_b ? s.ldb : 1;
  const int threads = static_cast<int>(std::min<std::int64_t>(get_num_threads(), panels));
  const std::int64_t depth_blocks = std::max<std::int64_t>(1, ceil_div(s.k, kDepth));
  const std::int64_t width = block_columns(nr);
  const std::int64_t block_floats = round_up(ceil_div(s.k, depth_blocks), 16) * width;
  Scratch blocks(threads * block_floats);

  std::vector<Tile> tiles;
  const std::int64_t n_tiles = ceil_div(s.m, kernels.mr);
  for (std::int64_t i = 0; i < n_tiles; ++i) {
    const Range r = split(s.m, n_tiles, i);
    const std::int64_t second = r.begin + (r.size() + 1) / 2;
    tiles.push_back(
        {{r.begin * s.lda, second * s.lda}, {r.begin * s.ldc, second * s.ldc}, r.size()});
  }

  parallel_team(threads, [&](int member) {
    float* block = blocks.data() + member * block_floats;
    const Range mine = split(panels, threads, member);
    const std::int64_t end = std::min(mine.end * nr, s.n);
    for (std::int64_t first = mine.begin * nr; first < end; first += width) {
      const std::int64_t columns = std::min(width, end - first);
      for (std::int64_t d = 0; d < depth_blocks; ++d) {
        const Range k = split(s.k, depth_blocks, d);
        const bool opens = d == 0, last = d + 1 == depth_blocks;
        const std::int64_t panel = k.size() * nr;
        // Rows of B that are contiguous are read as they lie, some of all panels at a time.
        const std::int64_t most = s.trans_b ? k.size() : kPackedRows;
        for (std::int64_t i = 0; i < k.size(); i += most) {
          for (std::int64_t n = 0; n < columns; n += nr) {
            const std::int64_t some = std::min(nr, columns - n);
            kernels.pack(b + (k.begin + i) * k_stride + (first + n) * n_stride, k_stride, n_stride,
                         std::min(most, k.size() - i), some,
                         block + n * k.size() + i * (some > kernels.lanes ? nr : kernels.lanes));
          }
        }
        const Run run = {k.begin, k.size()};
        TileJob job = {};
        job.tiles = tiles.data();
        job.n_tiles = n_tiles;
        job.runs = &run;
        job.n_runs = 1;
        job.a = a;
        job.a_row = s.lda;
        job.a_step = 1;
        job.b = block;
        job.panel_stride = panel;
        job.k_length = k.size();
        job.n_end = columns;
        job.c = c + first;
        job.c_row = s.ldc;
        job.alpha = alpha;
        job.beta = opens ? beta : 1.0f;
        job.bias = last && epilogue.bias != nullptr ? epilogue.bias + first : nullptr;
        job.residual = opens && epilogue.residual != nullptr ? epilogue.residual + first : nullptr;
        if (last) job.activation = epilogue.activation;
        if (s.trans_b) {
          kernels.by_row(job);
          continue;
        }
        // Each tile asks for its share of the next block: packing would wait for it, row by row.
        const std::int64_t next = last ? first + width : first;
        const Range next_k = split(s.k, depth_blocks, last ? 0 : d + 1);
        const std::int64_t calls = ceil_div(columns, nr) * n_tiles;
        job.n_tiles = 1;
        for (std::int64_t call = 0; call < calls; ++call) {
          const Range share = split(next < end ? next_k.size() : 0, calls, call);
          for (std::int64_t i = share.begin; i < share.end; ++i) {
            const float* row = b + (next_k.begin + i) * s.ldb + next;
            ask(row, std::min(width, end - next));
          }
          job.tiles = &tiles[static_cast<std::size_t>(call % n_tiles)];
          job.n_begin = call / n_tiles * nr;
          job.n_end = std::min(job.n_begin + nr, columns);
          job.b = block + call / n_tiles * panel;
          kernels.by_row(job);
        }
      }
    }
  });
}

}  // namespace fastconv
