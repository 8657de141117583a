#include "conv/maxima.hpp"

#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

// Sums in registers: rows times vectors.
constexpr int kRows = kRegisters == 32 ? 6 : 5, kVectors = kRegisters == 32 ? 3 : 2;

// Of one maximum, whose pooling window begins with the element `first`.
FASTCONV_INLINE std::int64_t offset_of(const Maxima& m, std::int32_t index, std::int64_t first) {
  const auto more = static_cast<std::uint64_t>(index - first);
  return more < static_cast<std::uint64_t>(m.n_offsets) ? m.offsets[more] : -1;
}

template <int R, int V>
FASTCONV_INLINE void load_block(const float* from, std::int64_t row, vf (&block)[R][V]) {
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) block[r][v] = load(from + r * row + v * W);
  }
}

template <int R, int V>
FASTCONV_INLINE void store_block(const vf (&block)[R][V], float* to, std::int64_t row) {
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) store(to + r * row + v * W, block[r][v]);
  }
}

template <int R, int V>
FASTCONV_INLINE void add_block(const float* from, std::int64_t row, float factor,
                               vf (&sums)[R][V]) {
  const vf f = set1(factor);
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r, from += row) {
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) sums[r][v] = fma(load(from + v * W), f, sums[r][v]);
  }
}

struct Multiply {
  const Maxima& maxima;
  const float* x;
  std::int64_t x_row, line_x, column_x;
  float* sums;
  std::int64_t rows, pitch;

  // Of all channels, one after the other.
  template <int R, int V>
  bool run(std::int64_t row, std::int64_t column) const {
    const Maxima m = maxima;  // which no store changes
    for (std::int64_t c = 0; c < m.channels; ++c) {
      float* to = sums + (c * rows + row) * pitch + column;
      vf block[R][V] = {};  // fewer roundings than adding to all sums so far
      std::int64_t at = c;
      for (std::int64_t i = 0; i < m.lines; ++i) {
        const float* window = x + i * line_x + row * x_row + column;
        std::int64_t first = m.first + i * m.line_step;
        for (std::int64_t j = 0; j < m.columns; ++j, at += m.channels) {
          const std::int64_t offset = offset_of(m, m.indices[at], first);
          if (offset < 0) return false;
          add_block(window + offset, x_row, m.grad[at], block);
          window += column_x, first += m.column_step;
        }
      }
      add_block(to, pitch, 1.0f, block);
      store_block(block, to, pitch);
    }
    return true;
  }
};

struct Scatter {
  const Maxima& maxima;
  const float* weight;
  std::int64_t w_row, w_channel;
  float* x;
  std::int64_t x_row, line_x, column_x;

  template <int R, int V>
  bool run(std::int64_t row, std::int64_t column) const {
    const Maxima m = maxima;  // which no store changes
    std::int64_t at = 0;
    for (std::int64_t i = 0; i < m.lines; ++i) {
      float* window = x + i * line_x + row * x_row + column;
      std::int64_t first = m.first + i * m.line_step;
      for (std::int64_t j = 0; j < m.columns; ++j) {
        vf block[R][V];
        load_block(window, x_row, block);
        const float* w = weight + row * w_row + column;
        for (std::int64_t c = 0; c < m.channels; ++c, ++at, w += w_channel) {
          const std::int64_t offset = offset_of(m, m.indices[at], first);
          if (offset < 0) return false;
          add_block(w + offset, w_row, m.grad[at], block);
        }
        store_block(block, window, x_row);
        window += column_x, first += m.column_step;
      }
    }
    return true;
  }
};

template <int R, class Task>
bool run_vectors(const Task& task, std::int64_t row, std::int64_t width) {
  bool right = true;
  for (std::int64_t column = 0; column < width; column += kVectors * W) {
    const std::int64_t left = width - column;
    right &= left > 2 * W && kVectors > 2 ? task.template run<R, kVectors>(row, column)
             : left > W                   ? task.template run<R, 2>(row, column)
                                          : task.template run<R, 1>(row, column);
  }
  return right;
}

template <class Task>
bool run_blocks(const Task& task, std::int64_t rows, std::int64_t width) {
  bool right = true;
  for (std::int64_t row = 0; row < rows; row += kRows) {
    switch (rows - row) {
      case 1:
        right &= run_vectors<1>(task, row, width);
        break;
      case 2:
        right &= run_vectors<2>(task, row, width);
        break;
      case 3:
        right &= run_vectors<3>(task, row, width);
        break;
      case 4:
        right &= run_vectors<4>(task, row, width);
        break;
      case 5:
        right &= run_vectors<5>(task, row, width);
        break;
      default:
        right &= run_vectors<kRows>(task, row, width);
    }
  }
  return right;
}

bool multiply(const Maxima& maxima, const float* x, std::int64_t x_row, std::int64_t line_x,
              std::int64_t column_x, std::int64_t rows, std::int64_t width, float* sums,
              std::int64_t pitch) {
  return run_blocks(Multiply{maxima, x, x_row, line_x, column_x, sums, rows, pitch}, rows, width);
}

bool scatter(const Maxima& maxima, const float* weight, std::int64_t w_row, std::int64_t w_channel,
             std::int64_t rows, std::int64_t width, float* x, std::int64_t x_row,
             std::int64_t line_x, std::int64_t column_x) {
  return run_blocks(Scatter{maxima, weight, w_row, w_channel, x, x_row, line_x, column_x}, rows,
                    width);
}

}  // namespace

extern const MaximaKernels maxima_kernels_table;
const MaximaKernels maxima_kernels_table = {multiply, scatter};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
