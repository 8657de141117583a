// How a run of Winograd's algorithm is cut, by an estimate of what each cut costs.
#pragma once

#include <algorithm>
#include <cstdint>

#include "conv/winograd.hpp"

namespace fastconv {

// Tiles along one side of the picture: `full` ones of m pixels, then short ones of `cut` pixels
// less, where the form with t positions has them.
struct Tiling {
  std::int64_t size, m, t, cut, count, full;

  Tiling(std::int64_t pixels, std::int64_t tile, std::int64_t points, std::int64_t short_by)
      : size(pixels), m(tile), t(points), cut(short_by), count(ceil_div(size, m)), full(count) {
    const bool has_short = t % 2 == 0 && m > cut;
    if (has_short) full -= std::min(count, (count * m - size) / cut);
  }

  bool is_short(std::int64_t i) const { return i >= full; }
  // Whether a short tile has none of the positions in a line.
  bool is_left_out(std::int64_t line) const { return line == 0 || line > t - cut; }
  std::int64_t begin(std::int64_t i) const {
    return i * m - cut * std::max<std::int64_t>(0, i - full);
  }
  // Pixels of a tile inside the picture.
  std::int64_t length(std::int64_t i) const {
    return std::min(m - (is_short(i) ? cut : 0), size - begin(i));
  }
  std::int64_t positions() const { return count * t - (count - full) * cut; }
  double share_of_full() const { return static_cast<double>(full) / static_cast<double>(count); }
};

// By how many pixels short tiles are shorter than others.
enum class Cut { one, two, better };

// How a run is cut: threads take ranges of tiles times ranges of panels; a thread works on blocks
// of tiles (V) times blocks of panels (M).
struct Winograd::Plan {
  Tiling lines, columns;
  std::int64_t in_picture, tiles;  // of one picture; of the batch
  std::int64_t panels;
  int tile_parts, panel_parts;
  std::int64_t block_tiles, block_panels;
  std::int64_t depth;  // channels at a time
  std::int64_t v_row;  // floats a tile of V
  double cycles;       // estimated

  // params: of stride 1.
  Plan(const Conv2dParams& params, int m, const TileKernels& kernels, std::int64_t batch,
       PictureSize out, int threads, Source source, Cut cut);

  // How many of `threads` have enough to do.
  static int useful_threads(const Conv2dParams& params, std::int64_t batch, PictureSize out,
                            int threads);

  // Estimated cycles to read phases.
  double reading(const Conv2dParams& strided) const;

  // f(image, tile along the lines, along the columns) for each of a range of tiles.
  template <class F>
  void each(Range range, const F& f) const {
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const std::int64_t in_image = i % in_picture;
      f(i / in_picture, in_image / columns.count, in_image % columns.count);
    }
  }
};

}  // namespace fastconv
