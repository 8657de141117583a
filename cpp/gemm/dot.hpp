// What reads its operands where they lie: products of rows with rows, and sums of columns.
#pragma once

#include "gemm/registers.hpp"

namespace fastconv {
namespace FASTCONV_ISA {

FASTCONV_INLINE vf load_weight(const float* p) { return load(p); }
FASTCONV_INLINE vf load_weight(const std::uint16_t* p) { return load_bf16(p); }
FASTCONV_INLINE vf load_weight_first(const float* p, std::int64_t n) { return load_first(p, n); }
FASTCONV_INLINE vf load_weight_first(const std::uint16_t* p, std::int64_t n) {
  std::uint16_t whole[W] = {};
  for (std::int64_t i = 0; i < n; ++i) whole[i] = p[i];
  return load_bf16(whole);
}

// ROWS rows of x against COLUMNS rows of w, all k in lanes.
template <int ROWS, int COLUMNS, class T>
FASTCONV_INLINE void dot_tile(const float* x, std::int64_t ldx, const T* w, std::int64_t ldw,
                              std::int64_t k, float* out, std::int64_t ldout) {
  vf acc[ROWS][COLUMNS];
  each<ROWS, COLUMNS>([&](int m, int n) { acc[m][n] = zero(); });
  std::int64_t i = 0;
  for (; i + W <= k; i += W) {
    vf wv[COLUMNS];
#pragma GCC unroll 4
    for (int n = 0; n < COLUMNS; ++n) wv[n] = load_weight(w + n * ldw + i);
#pragma GCC unroll 2
    for (int m = 0; m < ROWS; ++m) {
      const vf xv = load(x + m * ldx + i);
#pragma GCC unroll 4
      for (int n = 0; n < COLUMNS; ++n) acc[m][n] = fma(xv, wv[n], acc[m][n]);
    }
  }
  if (i < k) {
    each<ROWS, COLUMNS>([&](int m, int n) {
      acc[m][n] = fma(load_first(x + m * ldx + i, k - i), load_weight_first(w + n * ldw + i, k - i),
                      acc[m][n]);
    });
  }
  each<ROWS, COLUMNS>([&](int m, int n) { out[m * ldout + n] = sum(acc[m][n]); });
}

// COLUMNS rows of w, which then sit in a near cache, against every row of x.
template <int COLUMNS, class T>
FASTCONV_INLINE void dot_columns(const float* x, std::int64_t ldx, std::int64_t m, const T* w,
                                 std::int64_t ldw, std::int64_t k, float* out, std::int64_t ldout) {
  for (; m >= 2; m -= 2, x += 2 * ldx, out += 2 * ldout) {
    dot_tile<2, COLUMNS>(x, ldx, w, ldw, k, out, ldout);
  }
  if (m == 1) dot_tile<1, COLUMNS>(x, ldx, w, ldw, k, out, ldout);
}

template <class T>
void dot(const float* x, std::int64_t ldx, std::int64_t m, const T* w, std::int64_t ldw,
         std::int64_t k, std::int64_t n_begin, std::int64_t n_end, float* out, std::int64_t ldout) {
  std::int64_t n = n_begin;
  for (; n + 4 <= n_end; n += 4) dot_columns<4>(x, ldx, m, w + n * ldw, ldw, k, out + n, ldout);
  for (; n < n_end; ++n) dot_columns<1>(x, ldx, m, w + n * ldw, ldw, k, out + n, ldout);
}

inline void column_sums(const float* x, std::int64_t ld, std::int64_t rows, std::int64_t columns,
                        float* sums) {
  for (std::int64_t j = 0; j < columns; j += W) {
    const std::int64_t lanes = columns - j < W ? columns - j : W;
    vf acc[4] = {zero(), zero(), zero(), zero()};
    const float* p = x + j;
    std::int64_t i = 0;
    for (; i + 4 <= rows; i += 4) {
#pragma GCC unroll 4
      for (int u = 0; u < 4; ++u, p += ld) acc[u] = acc[u] + load_first(p, lanes);
    }
    for (; i < rows; ++i, p += ld) acc[0] = acc[0] + load_first(p, lanes);
    store_first(sums + j, (acc[0] + acc[1]) + (acc[2] + acc[3]), lanes);
  }
}

}  // namespace FASTCONV_ISA
}  // namespace fastconv
