#include "gemm/blocked.hpp"

#include <algorithm>
#include <cstring>

#include "core/costs.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"
#include "gemm/tile.hpp"

namespace fastconv {
namespace {

// More rows use a packed B so often that all threads pack it once, together.
constexpr std::int64_t kMostRows = 1024;

// k of a block, at most: a tile's rows of A then take little more than half of L1.
constexpr std::int64_t kDepth = 512;

// The tiles that use a panel one after the other when it has just been packed.
constexpr std::int64_t kFirstTiles = 4;

// Rows of A whose starts share their low 12 bits fall into one set of L1.
constexpr std::int64_t kL1SetStride = 1024;  // floats
constexpr std::int64_t kLine = 16;

// Less than this many multiply-adds are done before another thread has woken.
constexpr double kMinWorkPerThread = 200'000;

struct Operands {
  float alpha;
  const float *a, *b;
  float beta;
  float* c;
  const Epilogue& epilogue;
};

// Steps [steps.begin, steps.end) of so many units each, from the start of `whole`.
Range scaled(Range steps, std::int64_t units, Range whole) {
  return {whole.begin + steps.begin * units, std::min(whole.begin + steps.end * units, whole.end)};
}

class Blocked {
 public:
  Blocked(const GemmShape& shape, const TileKernels& table);
  void run(const Operands& operands) const;

 private:
  struct Block {
    Range columns, k;
  };
  // What one thread works with.
  struct Memory {
    float *block, *strip;
  };

  void divide(int most_threads);
  void work(const Operands& operands, int part, const Memory& memory) const;
  void multiply(const Operands& operands, Range rows, const Block& block, TileJob job,
                const Memory& memory) const;
  void first_tiles(const Operands& operands, const Block& block, TileJob job, float* to) const;
  void fill_strip(const float* a, Range rows, Range k, float* strip) const;
  Tile tile(Range rows, std::int64_t origin) const;

  const float* column(const float* b, std::int64_t k, std::int64_t n) const {
    return b + (s.trans_b ? n * s.ldb + k : k * s.ldb + n);
  }

  const GemmShape s;
  const TileKernels& kernels;
  std::int64_t k_blocks, kc;    // blocks of k, and floats for the longest
  std::int64_t half_l2;         // floats
  std::int64_t block_panels;    // of B, at most
  bool copy;                    // A is read from strips
  std::int64_t a_row;           // floats from row to row where tiles read A
  int part_rows, part_columns;  // the grid of parts
};

Blocked::Blocked(const GemmShape& shape, const TileKernels& table) : s(shape), kernels(table) {
  k_blocks = std::max<std::int64_t>(1, ceil_div(s.k, kDepth));
  kc = std::max(kLine, round_up(ceil_div(s.k, k_blocks), kLine));
  // A few rows more than a set holds cost less than a copy: 14 rows of 12 ways, 5 to 20 % less.
  const int most_rows = l1_cache_ways() * 3 / 2;
  copy = s.trans_a ||
         (s.lda % kL1SetStride == 0 && std::min<std::int64_t>(kernels.mr, s.m) > most_rows);
  a_row = copy ? kc + kLine : s.lda;
  half_l2 = static_cast<std::int64_t>(l2_cache_bytes() / sizeof(float) / 2);
  divide(get_num_threads());
  const std::int64_t panels = ceil_div(ceil_div(s.n, part_columns), kernels.nr) + 1;
  block_panels = std::clamp<std::int64_t>(half_l2 / (kc * kernels.nr), 1, panels);
}

// Cuts rows times vectors of columns among the threads so that the largest part takes the least
// time: its arithmetic, and what it packs of B and reads or copies of A. What has to be transposed
// takes longer, and tiles wait for an A that L2 does not keep.
void Blocked::divide(int most_threads) {
  const double k = static_cast<double>(s.k);
  const double total = static_cast<double>(s.m) * static_cast<double>(s.n) * k;
  const int threads =
      static_cast<int>(std::clamp<double>(total / kMinWorkPerThread, 1.0, most_threads));
  const std::int64_t vectors = ceil_div(s.n, kernels.lanes);
  const double packs = s.trans_b ? 2 : 1;
  double best = -1;
  for (int rows = 1; rows <= threads; ++rows) {
    if (threads % rows != 0) continue;
    const std::int64_t columns = std::min<std::int64_t>(threads / rows, vectors);
    const double my_rows = static_cast<double>(ceil_div(s.m, rows));
    const double my_columns = static_cast<double>(ceil_div(vectors, columns) * kernels.lanes);
    const double reads = copy || my_rows * k > static_cast<double>(half_l2) ? 2 : 1;
    const double cost = my_rows * my_columns * k / (2.0 * kernels.lanes) +
                        (packs * my_columns + reads * my_rows) * k / kFromL3;
    if (best < 0 || cost < best) {
      best = cost;
      part_rows = static_cast<int>(std::min<std::int64_t>(rows, s.m));
      part_columns = static_cast<int>(columns);
    }
  }
}

// A few rows of A for one block of k, written out.
void Blocked::fill_strip(const float* a, Range rows, Range k, float* strip) const {
  if (s.trans_a) {
    kernels.transpose(a + k.begin * s.lda + rows.begin, s.lda, k.size(), rows.size(), strip, a_row);
    return;
  }
  for (std::int64_t i = rows.begin; i < rows.end; ++i, strip += a_row) {
    std::memcpy(strip, a + i * s.lda + k.begin, static_cast<std::size_t>(k.size()) * sizeof(float));
  }
}

// `origin`: the row where A starts for the tiles.
Tile Blocked::tile(Range rows, std::int64_t origin) const {
  const std::int64_t second = rows.begin + (rows.size() + 1) / 2;
  return {{(rows.begin - origin) * a_row, (second - origin) * a_row},
          {rows.begin * s.ldc, second * s.ldc},
          rows.size()};
}

// Packs a block of B, panel by panel: the first tile does so while it computes, where it can. A
// pass of its own takes about as long as a tile.
void Blocked::first_tiles(const Operands& operands, const Block& block, TileJob job,
                          float* to) const {
  const std::int64_t nr = kernels.nr;
  const std::int64_t end = block.columns.end;
  for (std::int64_t n = block.columns.begin; n < end; n += nr, to += job.panel_stride) {
    job.n_begin = n;
    job.n_end = std::min(n + nr, end);
    const float* from = column(operands.b, block.k.begin, n);
    if (s.trans_b || job.single || (job.n_end - n) % kernels.lanes != 0) {
      job.packing = {};
      kernels.pack(from, s.trans_b ? 1 : s.ldb, s.trans_b ? s.ldb : 1, block.k.size(),
                   job.n_end - n, to);
    } else {
      job.packing = {from, s.ldb, to};
    }
    job.b = to;
    kernels.by_row(job);
  }
}

// C's rows += A * B for one block of B.
void Blocked::multiply(const Operands& operands, Range rows, const Block& block, TileJob job,
                       const Memory& memory) const {
  const std::int64_t n_tiles = ceil_div(rows.size(), kernels.mr);
  const std::int64_t panels = ceil_div(block.columns.size(), kernels.nr);
  const auto rows_of = [&](std::int64_t begin, std::int64_t end) {
    return Range{rows.begin + split(rows.size(), n_tiles, begin).begin,
                 rows.begin + split(rows.size(), n_tiles, end - 1).end};
  };
  // With few panels, more tiles at a time: less of the time goes to what is around them.
  const std::int64_t at_once = std::max<std::int64_t>(1, kFirstTiles / panels);
  for (std::int64_t i = 0; i < n_tiles; i += kFirstTiles) {
    const std::int64_t count = std::min(kFirstTiles, n_tiles - i);
    const Range strip = rows_of(i, i + count);
    if (copy) fill_strip(operands.a, strip, block.k, memory.strip);
    Tile tiles[kFirstTiles];
    for (std::int64_t t = 0; t < count; ++t) {
      tiles[t] = tile(rows_of(i + t, i + t + 1), copy ? strip.begin : 0);
    }
    if (i == 0) {
      job.tiles = tiles;
      job.n_tiles = count;
      first_tiles(operands, block, job, memory.block);
      continue;
    }
    job.b = memory.block;
    job.n_begin = block.columns.begin;
    job.n_end = block.columns.end;
    for (std::int64_t t = 0; t < count; t += job.n_tiles) {
      job.tiles = tiles + t;
      job.n_tiles = std::min(at_once, count - t);
      kernels.by_row(job);
    }
  }
}

void Blocked::work(const Operands& operands, int part, const Memory& memory) const {
  const Range rows = split(s.m, part_rows, part / part_columns);
  const Range columns =
      scaled(split(ceil_div(s.n, kernels.lanes), part_columns, part % part_columns), kernels.lanes,
             {0, s.n});
  const std::int64_t panels = ceil_div(columns.size(), kernels.nr);
  const std::int64_t blocks = ceil_div(panels, block_panels);

  TileJob job = {};
  job.n_runs = 1;
  job.single = s.m == 1;
  job.a_row = a_row;
  job.a_step = 1;
  job.b_in_l2 = true;
  job.c = operands.c;
  job.c_row = s.ldc;
  job.alpha = operands.alpha;
  for (std::int64_t n = 0; n < blocks; ++n) {
    for (std::int64_t d = 0; d < k_blocks; ++d) {
      const Block block = {scaled(split(panels, blocks, n), kernels.nr, columns),
                           split(s.k, k_blocks, d)};
      const bool opens = d == 0, last = d + 1 == k_blocks;
      const Run run = {copy ? 0 : block.k.begin, block.k.size()};
      job.runs = &run;
      job.a = copy ? memory.strip : operands.a;
      job.k_length = block.k.size();
      job.panel_stride = block.k.size() * kernels.nr;
      job.beta = opens ? operands.beta : 1.0f;
      job.residual = opens ? operands.epilogue.residual : nullptr;
      job.bias = last ? operands.epilogue.bias : nullptr;
      job.activation = last ? operands.epilogue.activation : Activation{};
      multiply(operands, rows, block, job, memory);
    }
  }
}

void Blocked::run(const Operands& operands) const {
  const int parts = part_rows * part_columns;
  const std::int64_t block_floats = block_panels * kc * kernels.nr;
  const std::int64_t strip_floats = copy ? kFirstTiles * kernels.mr * a_row : 0;
  Scratch blocks(parts * block_floats), strips(parts * strip_floats);
  parallel_team(parts, [&](int i) {
    work(operands, i, {blocks.data() + i * block_floats, strips.data() + i * strip_floats});
  });
}

}  // namespace

bool blocking_pays(const GemmShape& s) { return s.m <= kMostRows; }

void gemm_blocked(const GemmShape& s, float alpha, const float* a, const float* b, float beta,
                  float* c, const Epilogue& epilogue) {
  Blocked(s, tile_kernels()).run({alpha, a, b, beta, c, epilogue});
}

}  // namespace fastconv
