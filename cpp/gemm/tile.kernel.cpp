#include "gemm/tile.hpp"

#include "gemm/dot.hpp"
#include "gemm/packing.hpp"
#include "gemm/registers.hpp"
#include "simd/activation.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

// The epilogue: what follows the sum over k, in the order of the formula in tile.hpp.
template <int ROWS, int VECS, bool WHOLE>
FASTCONV_INLINE void write(const TileJob& job, const Tile& tile, std::int64_t n,
                           vf (&acc)[ROWS][VECS]) {
  constexpr int kFirst = (ROWS + 1) / 2;
  const std::int64_t lanes = job.n_end - n - (VECS - 1) * W;  // of the last vector
  const auto offset = [&](int i, int v) {
    return (i < kFirst ? tile.c[0] + i * job.c_row : tile.c[1] + (i - kFirst) * job.c_row) + n +
           v * W;
  };
  const auto read = [&](const float* p, int v) {
    return WHOLE || v + 1 < VECS ? load(p) : load_first(p, lanes);
  };

  if (job.alpha != 1.0f) {
    const vf alpha = set1(job.alpha);
    each<ROWS, VECS>([&](int i, int v) { acc[i][v] = acc[i][v] * alpha; });
  }
  if (job.beta != 0.0f) {
    const vf beta = set1(job.beta);
    each<ROWS, VECS>(
        [&](int i, int v) { acc[i][v] = fma(read(job.c + offset(i, v), v), beta, acc[i][v]); });
  }
  if (job.bias != nullptr) {
    vf bias[VECS];
    each<1, VECS>([&](int, int v) { bias[v] = read(job.bias + n + v * W, v); });
    each<ROWS, VECS>([&](int i, int v) { acc[i][v] = acc[i][v] + bias[v]; });
  }
  if (job.residual != nullptr) {
    each<ROWS, VECS>(
        [&](int i, int v) { acc[i][v] = acc[i][v] + read(job.residual + offset(i, v), v); });
  }
  if (job.activation.kind == Activation::relu) {
    each<ROWS, VECS>([&](int i, int v) { acc[i][v] = max(zero(), acc[i][v]); });
  } else if (job.activation.kind != Activation::none) {
    each<ROWS, VECS>([&](int i, int v) { acc[i][v] = activate(acc[i][v], job.activation); });
  }
  if (WHOLE && job.stream) {
    each<ROWS, VECS>([&](int i, int v) { stream(job.c + offset(i, v), acc[i][v]); });
  } else {
    each<ROWS, VECS>([&](int i, int v) {
      float* c = job.c + offset(i, v);
      WHOLE || v + 1 < VECS ? store(c, acc[i][v]) : store_first(c, acc[i][v], lanes);
    });
  }
}

template <int ROWS, int VECS>
FASTCONV_INLINE void finish(const TileJob& job, const Tile& tile, std::int64_t n,
                            const vf (&sums)[ROWS][VECS]) {
  vf acc[ROWS][VECS];  // a copy: write() may take addresses, and sums then leave their registers
  each<ROWS, VECS>([&](int i, int v) { acc[i][v] = sums[i][v]; });
  if (job.n_end - n >= VECS * W) {
    write<ROWS, VECS, true>(job, tile, n, acc);
  } else {
    write<ROWS, VECS, false>(job, tile, n, acc);
  }
}

// Memory that a tile asks for ahead of time, a stretch with every k: its share of the next panel,
// and the rows of A that the next tile reads.
struct Ahead {
  const char* b;
  std::ptrdiff_t b_step;
  const char* a;
  std::ptrdiff_t a_step;
  // By column: after so many steps, a skip to the next row.
  std::int64_t a_steps = 1;
  std::ptrdiff_t a_skip = 0;
};

// Where to B comes when a tile asks for it: a line with every k, or the two lines of a row of B.
enum class Hint { none, l1, l2, l2_rows };

constexpr int kLine = 16;  // floats
// Where a row of two vectors is one line, there is nothing more to ask for.
constexpr Hint kAlone = 2 * W > kLine ? Hint::l2_rows : Hint::l2;

// Rows of B between what a tile packs and what it asks for.
constexpr int kSoon = 8;

// `given` by reference: a copy on the stack would be read with wider loads than it was written
// with, and these wait until the stores of the tile before have reached L1. AHEAD: to where B is
// asked for; where there is nothing to ask for, the loads it takes would cost short tiles a tenth.
// PACKS: B is read where it lies, as the job's packing says, and written to its panel on the way.
template <int ROWS, int VECS, Hint AHEAD, bool PACKS = false>
void row_tile(const TileJob& job, const Tile& tile, const float* b, std::int64_t n,
              const Ahead& given) {
  constexpr int kFirst = (ROWS + 1) / 2;
  if (job.residual != nullptr) {  // needed when k has run, most often to be written over
    each<ROWS, VECS>([&](int i, int v) {
      const std::int64_t row =
          i < kFirst ? tile.c[0] + i * job.c_row : tile.c[1] + (i - kFirst) * job.c_row;
      __builtin_prefetch(job.residual + row + n + v * W, 1);
    });
  }
  vf acc[ROWS][VECS];
  Ahead ahead = given;
  each<ROWS, VECS>([&](int i, int v) { acc[i][v] = zero(); });

  const std::ptrdiff_t s = job.a_row * static_cast<std::ptrdiff_t>(sizeof(float));
  const std::ptrdiff_t s3 = 3 * s, s5 = 5 * s;
  const float* from = PACKS ? job.packing.from : b;
  float* to = job.packing.to;
  for (const Run *run = job.runs, *end = run + job.n_runs; run != end; ++run) {
    const char* p0 = reinterpret_cast<const char*>(job.a + tile.a[0] + run->a);
    const char* p1 = reinterpret_cast<const char*>(job.a + tile.a[1] + run->a);
    for (std::int64_t k = run->length; k > 0; --k) {
      vf bv[VECS];
#pragma GCC unroll 2
      for (int v = 0; v < VECS; ++v) bv[v] = load(from + v * W);
      if (PACKS) {
#pragma GCC unroll 2
        for (int v = 0; v < VECS; ++v) {
          store(to + v * W, bv[v]);
          __builtin_prefetch(to + kSoon * VECS * W + v * W, 1);
          __builtin_prefetch(from + kSoon * job.packing.row + v * W);
        }
        to += VECS * W;
      }
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; ++i) {
        const vf a = broadcast(i < kFirst ? row_address(p0, s, s3, s5, i)
                                          : row_address(p1, s, s3, s5, i - kFirst));
#pragma GCC unroll 2
        for (int v = 0; v < VECS; ++v) acc[i][v] = fma(a, bv[v], acc[i][v]);
      }
      if (AHEAD != Hint::none) {
        __builtin_prefetch(ahead.b, 0, AHEAD == Hint::l1 ? 3 : 2);
        if (AHEAD == Hint::l2_rows) {
          __builtin_prefetch(ahead.b + kLine * sizeof(float), 0, 2);
        }
        ahead.b += ahead.b_step;
      }
      if (AHEAD == Hint::l2 || AHEAD == Hint::l2_rows) {
        __builtin_prefetch(ahead.a, 0, 2);
        ahead.a += ahead.a_step;
      }
      from += PACKS ? job.packing.row : VECS * W;
      p0 += sizeof(float);
      p1 += sizeof(float);
    }
  }
  finish<ROWS, VECS>(job, tile, n, acc);
}

// The one row of a product with a vector. A sum would wait for each multiply-add before the next;
// several, of every fourth k, do not. AHEAD: to where B is asked for.
template <int VECS, Hint AHEAD>
void single_tile(const TileJob& job, const Tile& tile, const float* b, std::int64_t n,
                 const Ahead&) {
  constexpr int kSums = 4;
  // Floats between what is read and what is asked for.
  constexpr std::int64_t kFar = AHEAD == Hint::l1 ? 512 : 1024;
  vf acc[kSums][VECS];
  each<kSums, VECS>([&](int i, int v) { acc[i][v] = zero(); });
  for (const Run *run = job.runs, *end = run + job.n_runs; run != end; ++run) {
    const float* a = job.a + tile.a[0] + run->a;
    std::int64_t k = run->length;
    for (; k >= kSums; k -= kSums, a += kSums, b += kSums * VECS * W) {
      each<kSums, VECS>([&](int i, int v) {
        acc[i][v] = fma(set1(a[i]), load(b + (i * VECS + v) * W), acc[i][v]);
      });
      // What follows is ahead, too, be it the next panel. The machine's own prefetchers begin anew
      // at each page.
      each<kSums, VECS>([&](int i, int v) {
        __builtin_prefetch(b + kFar + (i * VECS + v) * W, 0, AHEAD == Hint::l1 ? 3 : 2);
      });
    }
    for (; k > 0; --k, ++a, b += VECS * W) {
      each<1, VECS>([&](int, int v) { acc[0][v] = fma(set1(*a), load(b + v * W), acc[0][v]); });
    }
  }
  vf sum[1][VECS];
  each<1, VECS>([&](int, int v) { sum[0][v] = (acc[0][v] + acc[1][v]) + (acc[2][v] + acc[3][v]); });
  finish<1, VECS>(job, tile, n, sum);
}

template <int ROWS, int VECS>
void column_tile(const TileJob& job, const Tile& tile, const float* b, std::int64_t n,
                 const Ahead& given) {
  vf acc[ROWS][VECS];
  const char* ahead = given.a;
  std::int64_t steps = given.a_steps;
  each<ROWS, VECS>([&](int i, int v) { acc[i][v] = zero(); });

  for (const Run *run = job.runs, *end = run + job.n_runs; run != end; ++run) {
    const float* a = job.a + tile.a[0] + run->a;
    for (std::int64_t k = run->length; k > 0; --k) {
      vf bv[VECS];
#pragma GCC unroll 2
      for (int v = 0; v < VECS; ++v) bv[v] = load(b + v * W);
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; ++i) {
        const vf x = set1(a[i]);
#pragma GCC unroll 2
        for (int v = 0; v < VECS; ++v) acc[i][v] = fma(x, bv[v], acc[i][v]);
      }
      __builtin_prefetch(ahead, 0, 2);
      ahead += given.a_step;
      if (--steps == 0) {
        ahead += given.a_skip;
        steps = given.a_steps;
      }
      b += VECS * W;
      a += job.a_step;
    }
  }
  finish<ROWS, VECS>(job, tile, n, acc);
}

using TileFunction = void (*)(const TileJob&, const Tile&, const float*, std::int64_t,
                              const Ahead&);

// [vectors - 1][rows - 1]
struct TileTable {
  TileFunction by_row[kVecs][MR], by_row_alone[kVecs][MR];
  TileFunction by_row_l1[kVecs][MR], by_row_near[kVecs][MR];
  TileFunction by_row_packing[kVecs][MR];
  TileFunction by_column[kVecs][MR];
};

template <int ROWS>
constexpr void fill(TileTable& table) {
  table.by_row[0][ROWS - 1] = row_tile<ROWS, 1, Hint::l2>;
  table.by_row[1][ROWS - 1] = row_tile<ROWS, 2, Hint::l2>;
  table.by_row_alone[0][ROWS - 1] = table.by_row[0][ROWS - 1];
  table.by_row_alone[1][ROWS - 1] = row_tile<ROWS, 2, kAlone>;
  table.by_row_l1[0][ROWS - 1] = row_tile<ROWS, 1, Hint::l1>;
  table.by_row_near[0][ROWS - 1] = row_tile<ROWS, 1, Hint::none>;
  table.by_row_l1[1][ROWS - 1] = row_tile<ROWS, 2, Hint::l1>;
  table.by_row_near[1][ROWS - 1] = row_tile<ROWS, 2, Hint::none>;
  table.by_row_packing[0][ROWS - 1] = row_tile<ROWS, 1, Hint::none, true>;
  table.by_row_packing[1][ROWS - 1] = row_tile<ROWS, 2, Hint::none, true>;
  table.by_column[0][ROWS - 1] = column_tile<ROWS, 1>;
  table.by_column[1][ROWS - 1] = column_tile<ROWS, 2>;
  if constexpr (ROWS > 1) fill<ROWS - 1>(table);
}

constexpr TileTable make_table() {
  TileTable table{};
  fill<MR>(table);
  return table;
}
constexpr TileTable kTable = make_table();
// [by way of L2][vectors - 1]
constexpr TileFunction kSingle[2][kVecs] = {
    {single_tile<1, Hint::l1>, single_tile<2, Hint::l1>},
    {single_tile<1, Hint::l2>, single_tile<2, Hint::l2>},
};

// Floats between what a tile reads of B in L2 and what it asks for: some hundred cycles.
constexpr std::int64_t kNear = 8 * NR;

// What a tile adds to comes near while k runs. Asked for here, not in the tile: the question would
// cost that its registers.
void fetch_c(const TileJob& job, const Tile& tile, std::int64_t n) {
  const std::int64_t first = (tile.rows + 1) / 2;
  const std::int64_t last = (job.n_end - n < NR ? job.n_end - n : NR) - 1;
  const float* c = job.c + tile.c[0] + n;
  for (std::int64_t i = 0; i < tile.rows; ++i, c += job.c_row) {
    if (i == first) c = job.c + tile.c[1] + n;
    __builtin_prefetch(c, 1);
    __builtin_prefetch(c + last, 1);
  }
}

// Tiles outside, panels inside: a row of C and of the residual is met as a whole, line after line,
// which the CPU fetches ahead by itself, and a tile's A once. `near`: as for run.
void run_across(const TileJob& job, const TileFunction (&functions)[kVecs][MR],
                const TileFunction (&near)[kVecs][MR]) {
  for (std::int64_t i = 0; i < job.n_tiles; ++i) {
    const bool last = i + 1 == job.n_tiles;
    const Tile& tile = job.tiles[i];
    // During the first panel, what the next tile reads of A.
    const char* next_a = reinterpret_cast<const char*>(job.b);
    std::ptrdiff_t a_step = 0;
    if (job.cold && !last) {
      const Tile& following = job.tiles[i + 1];
      next_a = reinterpret_cast<const char*>(job.a + following.a[0] + job.runs[0].a);
      a_step = following.rows * static_cast<std::ptrdiff_t>(sizeof(float));
    }
    const float* panel = job.b;
    for (std::int64_t n = job.n_begin; n < job.n_end; n += NR, panel += job.panel_stride) {
      const std::int64_t width = panel_width(job.n_end - n);
      const float* b = panel + job.k_begin * width;
      // The first tile fetches the panels, the last one what comes after them.
      const bool last_panel = n + NR >= job.n_end;
      const float* next = b;
      if (!last_panel) {
        next = panel + job.panel_stride + job.k_begin * panel_width(job.n_end - n - NR);
      } else if (job.next_b != nullptr) {
        next = job.next_b;
      }
      const bool fetch = last_panel ? last : i == 0;
      const Ahead ahead = {reinterpret_cast<const char*>(next),
                           fetch ? width * static_cast<std::ptrdiff_t>(sizeof(float)) : 0, next_a,
                           a_step};
      if (job.beta != 0.0f) fetch_c(job, tile, n);
      const bool asks = fetch || a_step != 0;
      (asks ? functions : near)[width / W - 1][tile.rows - 1](job, tile, b, n, ahead);
      a_step = 0;
    }
  }
}

// What a tile asks for before it begins, rather than with every k: more would keep its own loads
// waiting.
constexpr std::ptrdiff_t kAtOnce = 4 * 64;  // bytes

// Panels outside, tiles inside: a panel stays in L1 or L2 while all tiles use it. `near`: the
// functions for tiles that ask for nothing while they compute.
void run(const TileJob& job, const TileFunction (&functions)[kVecs][MR],
         const TileFunction (&near)[kVecs][MR]) {
  const float* panel = job.b;
  std::int64_t count = 0;  // of tiles
  for (std::int64_t n = job.n_begin; n < job.n_end; n += NR, panel += job.panel_stride) {
    const std::int64_t width = panel_width(job.n_end - n);
    const float* b = panel + job.k_begin * width;

    // The tiles of this panel fetch the next one while they compute, each its part.
    const std::int64_t next_width = panel_width(job.n_end - n - NR);
    const float* next = n + NR < job.n_end ? panel + job.panel_stride + job.k_begin * next_width
                                           : (job.next_b != nullptr ? job.next_b : b);
    const std::ptrdiff_t bytes = width * static_cast<std::ptrdiff_t>(sizeof(float));
    const std::ptrdiff_t share = bytes * job.k_length / job.n_tiles;
    const bool at_once = !job.b_in_l2 && (next == b || share <= kAtOnce);
    Ahead ahead = {reinterpret_cast<const char*>(next), at_once ? 0 : bytes / job.n_tiles,
                   reinterpret_cast<const char*>(b), 0};
    std::ptrdiff_t part = at_once ? share : ahead.b_step * job.k_length;
    if (job.b_in_l2) {
      ahead.b = reinterpret_cast<const char*>(b + kNear);
      ahead.b_step = bytes;
      part = 0;
    }
    const bool fetch_a = job.cold && n == job.n_begin;
    for (std::int64_t i = 0; i < job.n_tiles; ++i, ++count, ahead.b += part) {
      const Tile& tile = job.tiles[i];
      if (count < job.fetch.count) {
        const Fetch& f = job.fetch;
        ahead.a = reinterpret_cast<const char*>(f.first + count * f.rows * f.row);
        ahead.a_step = f.step * static_cast<std::ptrdiff_t>(sizeof(float));
        ahead.a_steps = f.steps;
        ahead.a_skip = (f.row - f.steps * f.step) * static_cast<std::ptrdiff_t>(sizeof(float));
      } else if (count == job.fetch.count && count > 0) {
        ahead.a = reinterpret_cast<const char*>(b);
        ahead.a_step = ahead.a_skip = 0;
      }
      if (fetch_a && i + 1 < job.n_tiles) {
        const Tile& following = job.tiles[i + 1];
        ahead.a = reinterpret_cast<const char*>(job.a + following.a[0] + job.runs[0].a);
        ahead.a_step = following.rows * static_cast<std::ptrdiff_t>(sizeof(float));
      }
      if (at_once && next != b) {
        for (std::ptrdiff_t line = 0; line < share; line += 64) {
          __builtin_prefetch(ahead.b + line, 0, 2);
        }
      }
      if (job.beta != 0.0f) fetch_c(job, tile, n);
      const bool asks = ahead.b_step != 0 || ahead.a_step != 0;
      const bool packs = i == 0 && job.packing.from != nullptr;
      const TileFunction* by_rows =
          (packs ? kTable.by_row_packing : (asks ? functions : near))[width / W - 1];
      (job.single ? kSingle[job.single_by_l2][width / W - 1] : by_rows[tile.rows - 1])(job, tile, b,
                                                                                       n, ahead);
    }
  }
  if (job.stream) stream_end();
}

void by_row(const TileJob& job) {
  if (!job.across) {
    const auto& functions = job.b_in_l2        ? kTable.by_row_l1
                            : job.n_tiles == 1 ? kTable.by_row_alone
                                               : kTable.by_row;
    return run(job, functions, kTable.by_row_near);
  }
  run_across(job, kTable.by_row, kTable.by_row_near);
  if (job.stream) stream_end();
}
void by_column(const TileJob& job) { run(job, kTable.by_column, kTable.by_column); }

}  // namespace

extern const TileKernels tile_kernels_table;
const TileKernels tile_kernels_table = {W,
                                        MR,
                                        NR,
                                        by_row,
                                        by_column,
                                        gather,
                                        pack,
                                        pack_taps,
                                        pack_taps_back,
                                        unpack_taps,
                                        transpose_block,
                                        column_sums,
                                        dot<float>,
                                        dot<std::uint16_t>};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
