// Transposes tiles in blocks of W x W that stay in registers.
#include "layout/transpose.hpp"

#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

FASTCONV_INLINE std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// Planes of a few channels to pixels, and back: a block of registers would be mostly empty.
template <int kRows>
FASTCONV_INLINE void few_rows(std::int64_t columns, const float* x, std::int64_t ldx, float* y,
                              std::int64_t ldy) {
  for (std::int64_t c = 0; c < columns; ++c) {
    for (int r = 0; r < kRows; ++r) y[c * ldy + r] = x[r * ldx + c];
  }
}

template <int kColumns>
FASTCONV_INLINE void few_columns(std::int64_t rows, const float* x, std::int64_t ldx, float* y,
                                 std::int64_t ldy) {
  for (std::int64_t r = 0; r < rows; ++r) {
    for (int c = 0; c < kColumns; ++c) y[c * ldy + r] = x[r * ldx + c];
  }
}

FASTCONV_INLINE void whole_block(const float* x, std::int64_t ldx, float* y, std::int64_t ldy) {
  vf v[W];
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) v[i] = load(x + i * ldx);
  transpose(v);
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) store(y + i * ldy, v[i]);
}

void edge_block(std::int64_t rows, std::int64_t columns, const float* x, std::int64_t ldx, float* y,
                std::int64_t ldy) {
  vf v[W];
  for (int i = 0; i < W; ++i) v[i] = i < rows ? load_first(x + i * ldx, columns) : zero();
  transpose(v);
  for (std::int64_t i = 0; i < columns; ++i) store_first(y + i * ldy, v[i], rows);
}

void tile(std::int64_t rows, std::int64_t columns, const float* x, std::int64_t ldx, float* y,
          std::int64_t ldy) {
  switch (rows) {
    case 1:
      return few_rows<1>(columns, x, ldx, y, ldy);
    case 2:
      return few_rows<2>(columns, x, ldx, y, ldy);
    case 3:
      return few_rows<3>(columns, x, ldx, y, ldy);
    case 4:
      return few_rows<4>(columns, x, ldx, y, ldy);
  }
  switch (columns) {
    case 1:
      return few_columns<1>(rows, x, ldx, y, ldy);
    case 2:
      return few_columns<2>(rows, x, ldx, y, ldy);
    case 3:
      return few_columns<3>(rows, x, ldx, y, ldy);
    case 4:
      return few_columns<4>(rows, x, ldx, y, ldy);
  }
  if (rows < W || columns < W) {
    for (std::int64_t c = 0; c < columns; c += W) {
      for (std::int64_t r = 0; r < rows; r += W) {
        edge_block(smaller(rows - r, W), smaller(columns - c, W), x + r * ldx + c, ldx,
                   y + c * ldy + r, ldy);
      }
    }
    return;
  }
  // The last block of a row or column is moved back to fit: it repeats some of the work.
  for (std::int64_t next_c = 0; next_c < columns; next_c += W) {
    const std::int64_t c = smaller(next_c, columns - W);
    for (std::int64_t next_r = 0; next_r < rows; next_r += W) {
      const std::int64_t r = smaller(next_r, rows - W);
      whole_block(x + r * ldx + c, ldx, y + c * ldy + r, ldy);
    }
  }
}

}  // namespace

extern const TransposeKernels transpose_kernels_table;
const TransposeKernels transpose_kernels_table = {tile};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
