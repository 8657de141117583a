// Putting B into panels, A into lanes, and back.
#pragma once

#include "gemm/registers.hpp"

namespace fastconv {
namespace FASTCONV_ISA {

static_assert(MR <= W, "a vector holds a tile's rows of one k");

inline void gather(const float* a, std::int64_t k, std::int64_t a_step, std::int64_t rows,
                   float* dst) {
  for (; k > 0; --k, a += a_step, dst += W) store(dst, load_first(a, rows));
}

inline void copy_row(const float* src, std::int64_t columns, std::int64_t width, float* dst) {
  for (std::int64_t j = 0; j < width; j += W) {
    const std::int64_t lanes = columns - j;
    store(dst + j, lanes >= W ? load(src + j) : load_first(src + j, lanes > 0 ? lanes : 0));
  }
}

// Transposes `columns` <= NR rows of k floats, n_stride apart, zero-padded to the panel's width.
// Source column i becomes row row_of(i), or is left out where that is negative.
template <class RowOf>
FASTCONV_INLINE void pack_transposed(const float* src, std::int64_t n_stride, std::int64_t k,
                                     std::int64_t columns, float* panel, std::int64_t row_stride,
                                     const RowOf& row_of) {
  const std::int64_t width = panel_width(columns);
  for (std::int64_t k0 = 0; k0 < k; k0 += W) {
    const std::int64_t depth = k - k0 < W ? k - k0 : W;
    for (std::int64_t j = 0; j < width; j += W) {
      vf block[W];
#pragma GCC unroll 16
      for (int i = 0; i < W; ++i) {
        const float* row = src + (j + i) * n_stride + k0;
        block[i] = j + i >= columns ? zero() : (depth == W ? load(row) : load_first(row, depth));
      }
      transpose(block);
      for (std::int64_t i = 0; i < depth; ++i) {
        const std::int64_t row = row_of(k0 + i);
        if (row >= 0) store(panel + row * row_stride + j, block[i]);
      }
    }
  }
}

inline void pack(const float* src, std::int64_t k_stride, std::int64_t n_stride, std::int64_t k,
                 std::int64_t columns, float* panel) {
  const std::int64_t width = panel_width(columns);
  if (n_stride == 1) {
    for (std::int64_t i = 0; i < k; ++i)
      copy_row(src + i * k_stride, columns, width, panel + i * width);
  } else {
    pack_transposed(src, n_stride, k, columns, panel, width, [](std::int64_t i) { return i; });
  }
}

constexpr std::int64_t kMaxTaps = 128;

// Where each tap stands in `order`; -1 where it is left out.
inline void find_positions(const std::int64_t* order, std::int64_t n_order, std::int64_t taps,
                           std::int64_t (&position)[kMaxTaps]) {
  for (std::int64_t t = 0; t < taps; ++t) position[t] = -1;
  for (std::int64_t t = 0; t < n_order; ++t) position[order[t]] = t;
}

inline void pack_taps(const float* src, std::int64_t n_stride, std::int64_t channels,
                      std::int64_t taps, const std::int64_t* order, std::int64_t n_order,
                      std::int64_t columns, float* panel) {
  const std::int64_t width = panel_width(columns);
  if (taps <= kMaxTaps) {
    std::int64_t position[kMaxTaps];
    find_positions(order, n_order, taps, position);
    pack_transposed(src, n_stride, channels * taps, columns, panel, width, [&](std::int64_t i) {
      const std::int64_t c = i / taps, t = i % taps;
      return position[t] < 0 ? -1 : position[t] * channels + c;
    });
    return;
  }
  for (std::int64_t t = 0; t < n_order; ++t) {
    for (std::int64_t c = 0; c < channels; ++c) {
      float* row = panel + (t * channels + c) * width;
      for (std::int64_t j = 0; j < width; ++j) {
        row[j] = j < columns ? src[j * n_stride + c * taps + order[t]] : 0.0f;
      }
    }
  }
}

inline void pack_taps_back(const float* src, std::int64_t k_stride, std::int64_t out_channels,
                           std::int64_t taps, const std::int64_t* order, std::int64_t n_order,
                           std::int64_t columns, float* panel) {
  const std::int64_t width = panel_width(columns);
  if (taps <= kMaxTaps && 2 * n_order > taps) {  // fewer are sooner picked one by one
    std::int64_t position[kMaxTaps];
    find_positions(order, n_order, taps, position);
    for (std::int64_t o = 0; o < out_channels; ++o) {
      pack_transposed(src + o * k_stride, taps, taps, columns, panel + o * width, width,
                      [&](std::int64_t t) { return position[t] * out_channels; });
    }
    return;
  }
  for (std::int64_t o = 0; o < out_channels; ++o) {
    for (std::int64_t t = 0; t < n_order; ++t) {
      const float* from = src + o * k_stride + order[t];
      float* row = panel + (t * out_channels + o) * width;
      for (std::int64_t j = 0; j < columns; ++j) row[j] = from[j * taps];
      for (std::int64_t j = columns; j < width; ++j) row[j] = 0.0f;
    }
  }
}

inline void unpack_taps(const float* src, std::int64_t ld, std::int64_t chunks, std::int64_t chunk,
                        std::int64_t channels, std::int64_t taps, std::int64_t columns,
                        std::int64_t k_begin, std::int64_t k_end, float* dst, std::int64_t ld_dst) {
  std::int64_t c = k_begin / taps, t = k_begin % taps;
  for (std::int64_t k = k_begin; k < k_end; k += W) {
    const std::int64_t depth = k_end - k < W ? k_end - k : W;
    std::int64_t row[W] = {};
    for (std::int64_t i = 0; i < depth; ++i) {
      row[i] = (t * channels + c) * ld;
      if (++t == taps) t = 0, ++c;
    }
    for (std::int64_t j = 0; j < columns; j += W) {
      const std::int64_t lanes = columns - j < W ? columns - j : W;
      vf block[W];
#pragma GCC unroll 16
      for (int i = 0; i < W; ++i) block[i] = load_first(src + row[i] + j, i < depth ? lanes : 0);
      for (std::int64_t n = 1; n < chunks; ++n) {
#pragma GCC unroll 16
        for (int i = 0; i < W; ++i) {
          block[i] = block[i] + load_first(src + n * chunk + row[i] + j, i < depth ? lanes : 0);
        }
      }
      transpose(block);
      for (std::int64_t i = 0; i < lanes; ++i) {
        float* line = dst + (j + i) * ld_dst + k;
        store_first(line, block[i], depth);
        __builtin_prefetch(line + 4 * W, 1);  // rows lie too far apart for stores to be in time
      }
    }
  }
}

inline void transpose_block(const float* src, std::int64_t ld_src, std::int64_t rows,
                            std::int64_t columns, float* dst, std::int64_t ld_dst) {
  for (std::int64_t r = 0; r < rows; r += W) {
    const std::int64_t height = rows - r < W ? rows - r : W;
    pack_transposed(src + r * ld_src, ld_src, columns, height, dst + r, ld_dst,
                    [](std::int64_t i) { return i; });
  }
}

}  // namespace FASTCONV_ISA
}  // namespace fastconv
