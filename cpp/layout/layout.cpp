#include "fastconv/layout.hpp"

#include <algorithm>
#include <cstring>

#include "core/error.hpp"
#include "core/threads.hpp"
#include "layout/transpose.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kGrain = 16384;  // floats worth a thread of their own
constexpr std::int64_t kTile = 64;      // 64 x 64 floats in and out are two thirds of 48 KiB
constexpr std::int64_t kTileFloats = kTile * kTile;

void copy(float* to, const float* from, std::int64_t floats) {
  if (floats > 0) std::memcpy(to, from, static_cast<std::size_t>(floats) * sizeof(float));
}

void require_sizes(const char* operation, std::int64_t images, std::int64_t channels,
                   std::int64_t pixels) {
  if (images < 0 || channels < 0 || pixels < 0) {
    fail(operation, "sizes must not be negative",
         {{"images", images}, {"channels", channels}, {"pixels", pixels}});
  }
}

// `count` matrices (rows, columns), one after the other: each y is the transpose of its x.
void transpose_all(std::int64_t count, std::int64_t rows, std::int64_t columns, const float* x,
                   float* y) {
  if (count == 0 || rows == 0 || columns == 0) return;
  // A narrow matrix gets longer tiles, so that each is worth its call.
  const std::int64_t tile_rows = std::max(kTile, round_up(kTileFloats / columns, kTile));
  const std::int64_t tile_columns = std::max(kTile, round_up(kTileFloats / rows, kTile));
  const std::int64_t down = ceil_div(rows, tile_rows), across = ceil_div(columns, tile_columns);
  const std::int64_t tile_floats = std::min(rows, tile_rows) * std::min(columns, tile_columns);
  const auto& kernels = transpose_kernels();
  parallel_for(count * across * down, std::max<std::int64_t>(1, kGrain / tile_floats),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t task = begin; task < end; ++task) {
                   const std::int64_t matrix = task / (across * down) * rows * columns;
                   const std::int64_t c = task / down % across * tile_columns;
                   const std::int64_t r = task % down * tile_rows;
                   kernels.tile(std::min(tile_rows, rows - r), std::min(tile_columns, columns - c),
                                x + matrix + r * columns + c, columns, y + matrix + c * rows + r,
                                rows);
                 }
               });
}

}  // namespace

void nchw_to_nhwc(std::int64_t images, std::int64_t channels, std::int64_t pixels, const float* x,
                  float* y) {
  require_sizes("nchw_to_nhwc", images, channels, pixels);
  transpose_all(images, channels, pixels, x, y);
}

void nhwc_to_nchw(std::int64_t images, std::int64_t channels, std::int64_t pixels, const float* x,
                  float* y) {
  require_sizes("nhwc_to_nchw", images, channels, pixels);
  transpose_all(images, pixels, channels, x, y);
}

void concat(std::int64_t rows, const ConcatPart* parts, std::int64_t count, float* y) {
  std::int64_t width = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (parts[i].columns < 0) {
      fail("concat", "sizes must not be negative", {{"columns", parts[i].columns}});
    }
    width += parts[i].columns;
  }
  if (rows <= 0 || width == 0) return;
  // Long rows (a join along the batch is a single one) are cut into pieces.
  const std::int64_t pieces = ceil_div(width, kGrain);
  parallel_for(rows * pieces, std::max<std::int64_t>(1, kGrain / width),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t task = begin; task < end; ++task) {
                   const std::int64_t row = task / pieces;
                   const Range piece = split(width, pieces, task % pieces);
                   std::int64_t start = 0;
                   for (std::int64_t i = 0; i < count; ++i) {
                     const std::int64_t columns = parts[i].columns;
                     const std::int64_t first = std::max(piece.begin, start);
                     const std::int64_t last = std::min(piece.end, start + columns);
                     copy(y + row * width + first, parts[i].data + row * columns + first - start,
                          last - first);
                     start += columns;
                   }
                 }
               });
}

void Pad::validate(const char* operation) const {
  if (n < 0 || h < 0 || w < 0 || c < 0) {
    fail(operation, "sizes must not be negative", {{"n", n}, {"h", h}, {"w", w}, {"c", c}});
  }
  if (top < 0 || bottom < 0 || left < 0 || right < 0) {
    fail(operation, "padding must not be negative",
         {{"top", top}, {"bottom", bottom}, {"left", left}, {"right", right}});
  }
}

void pad(const Pad& p, const float* x, float value, float* y) {
  p.validate("pad");
  const std::int64_t row = p.w * p.c, left = p.left * p.c, padded_row = p.padded_w() * p.c;
  if (padded_row == 0) return;
  parallel_for(p.n * p.padded_h(), kGrain / padded_row, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      float* to = y + i * padded_row;
      const std::int64_t image = i / p.padded_h(), from_row = i % p.padded_h() - p.top;
      if (from_row < 0 || from_row >= p.h) {
        std::fill(to, to + padded_row, value);
        continue;
      }
      std::fill(to, to + left, value);
      copy(to + left, x + (image * p.h + from_row) * row, row);
      std::fill(to + left + row, to + padded_row, value);
    }
  });
}

void pad_backward(const Pad& p, const float* grad_y, float* grad_x) {
  p.validate("pad_backward");
  const std::int64_t row = p.w * p.c, padded_row = p.padded_w() * p.c;
  if (row == 0) return;
  parallel_for(p.n * p.h, kGrain / row, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t from_row = i / p.h * p.padded_h() + p.top + i % p.h;
      copy(grad_x + i * row, grad_y + from_row * padded_row + p.left * p.c, row);
    }
  });
}

}  // namespace fastconv
