// The register-tile kernels that GEMM and convolution share.
//
//   C(i, j) = activation(alpha * sum_k A(i, k) * B(k, j) + beta * C(i, j) + bias(j) + residual(i,
//   j))
//
// Names as in BLIS: a tile is at most MR rows by NR columns of C and lives in registers while k
// runs. B is packed in panels: panel p holds columns [p * NR, p * NR + NR) as k rows of NR floats;
// the last panel is only as many vectors wide as it needs, zero-padded. A is read in place: one
// broadcast a row and k.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"
#include "fastconv/activation.hpp"

namespace fastconv {

// A stretch of k during which A is read with one step. `a` is an offset in floats.
struct Run {
  std::int64_t a, length;
};

// Rows of a tile come as two groups of evenly spaced rows, so that a tile can span two lines of a
// picture: the first group holds (rows + 1) / 2 rows, the second rows / 2. Offsets in floats.
struct Tile {
  std::int64_t a[2], c[2];
  std::int64_t rows;
};

// Memory to be fetched to L2 ahead of its use, by column: with every k a step, `steps` of them a
// row, row after row. As memory lies, so that the machine's own prefetchers run ahead; what is
// asked for line by line has to wait for a core's few fill buffers. The next tile or panel, `count`
// in all, begins `rows` rows later. Floats.
struct Fetch {
  const float* first;
  std::int64_t row, steps, step, rows, count;
};

// A panel that the first of its tiles packs while it computes: whole vectors of B's columns, from
// rows that are `row` floats apart.
struct Packing {
  const float* from;
  std::int64_t row;
  float* to;
};

struct TileJob {
  const Tile* tiles;
  std::int64_t n_tiles;

  const Run* runs;  // the k block
  std::int64_t n_runs;
  const float* a;
  bool cold = false;    // A is in no near cache yet: to be fetched ahead
  bool across = false;  // every tile runs across all panels, which stay in L2, before the next one
  bool single = false;  // C has one row only, which tiles of one row may sum up in another order
  bool single_by_l2 = false;  // such a tile asks for B into L2, and further ahead
  std::int64_t a_row;         // floats between the rows of a group
  std::int64_t a_step;        // floats between successive k; 1 for the by-row kernels
  Fetch fetch = {};           // where A is not cold
  Packing packing = {};       // by row, of a job with one panel, which is b
  bool b_in_l2 = false;  // B then comes to L1 ahead of its use, instead of the next panel to L2

  const float* b;                  // the panel that starts at column n_begin
  std::int64_t panel_stride;       // floats between panels
  std::int64_t k_begin, k_length;  // this k block in the panels
  const float* next_b;             // what comes after the last panel, to be fetched ahead; or null
  std::int64_t n_begin, n_end;     // columns; the last panel holds the rest

  float* c;
  std::int64_t c_row;
  float alpha, beta;      // beta 0 never reads C
  const float* bias;      // by column, or null
  const float* residual;  // laid out as C, or null
  Activation activation;
  bool stream;  // write C past the caches; every row of C then starts on a vector boundary
};

struct TileKernels {
  int lanes, mr, nr;

  // Rows of A contiguous in k (a_step is 1), groups of rows a_row apart.
  void (*by_row)(const TileJob& job);
  // A stored with k outermost: row i of a tile at a[0] + i, successive k a_step apart.
  // Of a tile's a only a[0] is used.
  void (*by_column)(const TileJob& job);

  // A of one tile of by_column, gathered: dst[i * lanes + r] = a[i * a_step + r] for i < k and
  // r < rows <= MR <= lanes, 0 beyond the rows.
  void (*gather)(const float* a, std::int64_t k, std::int64_t a_step, std::int64_t rows,
                 float* dst);

  // Packs one panel of `columns` <= NR columns. B(k, j) = src[k * k_stride + j * n_stride],
  // where one of the strides is 1.
  void (*pack)(const float* src, std::int64_t k_stride, std::int64_t n_stride, std::int64_t k,
               std::int64_t columns, float* panel);
  // As pack, for B(t * channels + c, j) = src[j * n_stride + c * taps + order[t]]: rows of
  // kernel weights (O, I, KH, KW) to channels-last k, the taps chosen and ordered by `order`.
  void (*pack_taps)(const float* src, std::int64_t n_stride, std::int64_t channels,
                    std::int64_t taps, const std::int64_t* order, std::int64_t n_order,
                    std::int64_t columns, float* panel);

  // The same weights seen from the other side, for input gradients, where B's columns are the input
  // channels: B(t * out_channels + o, j) = src[o * k_stride + j * taps + order[t]].
  void (*pack_taps_back)(const float* src, std::int64_t k_stride, std::int64_t out_channels,
                         std::int64_t taps, const std::int64_t* order, std::int64_t n_order,
                         std::int64_t columns, float* panel);
  // Back from channels-last k to rows of weights, with chunks of their sums added in their order:
  // dst[j * ld_dst + k] = sum_i src[i * chunk + (t * channels + c) * ld + j]
  // for j < columns and k_begin <= k < k_end, where k = c * taps + t.
  void (*unpack_taps)(const float* src, std::int64_t ld, std::int64_t chunks, std::int64_t chunk,
                      std::int64_t channels, std::int64_t taps, std::int64_t columns,
                      std::int64_t k_begin, std::int64_t k_end, float* dst, std::int64_t ld_dst);

  // dst[c * ld_dst + r] = src[r * ld_src + c]; writes whole vectors, so that a row of dst has room
  // for `rows` rounded up to a multiple of `lanes`.
  void (*transpose)(const float* src, std::int64_t ld_src, std::int64_t rows, std::int64_t columns,
                    float* dst, std::int64_t ld_dst);

  // sums[j] = sum_i x[i * ld + j]
  void (*column_sums)(const float* x, std::int64_t ld, std::int64_t rows, std::int64_t columns,
                      float* sums);

  // out[m][n] = sum_k x[m][k] * w[n][k], for n in [n_begin, n_end): few rows of x, each row of w
  // read once and in place.
  void (*dot)(const float* x, std::int64_t ldx, std::int64_t m, const float* w, std::int64_t ldw,
              std::int64_t k, std::int64_t n_begin, std::int64_t n_end, float* out,
              std::int64_t ldout);
  // The same with w in bfloat16: the upper halves of floats.
  void (*dot_bf16)(const float* x, std::int64_t ldx, std::int64_t m, const std::uint16_t* w,
                   std::int64_t ldw, std::int64_t k, std::int64_t n_begin, std::int64_t n_end,
                   float* out, std::int64_t ldout);
};

FASTCONV_DECLARE_KERNELS(TileKernels, tile_kernels)

}  // namespace fastconv
