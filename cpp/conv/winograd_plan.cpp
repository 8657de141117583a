#include "conv/winograd_plan.hpp"

#include <algorithm>
#include <cmath>

#include "core/costs.hpp"

namespace fastconv {
namespace {

constexpr double kMinWorkPerThread = 200'000;
constexpr double kFewRows = 2.5;         // of a register tile that keep one multiplier busy
constexpr double kFromNearL3 = 6;        // floats a cycle
constexpr double kNearL3 = 4 << 20;      // floats that stay there beside other things
constexpr std::int64_t kLazyDepth = 64;  // channels of what is made of the weights at a time

// What one thread has to do, all sizes in floats.
struct Work {
  double tiles, panels, columns, channels, side, v_row;
  double cut, full_lines, full_columns;  // short tiles' pixels less, share of those not short
  double lanes, mr, nr;
  double depth, taps;
  double sharing;  // threads that read the same weights
  double foreign;  // floats of the picture that another thread wrote, whom it serves as well
  Winograd::Source source;

  // Estimated cycles in blocks of so many tiles and panels.
  double cycles(double block_tiles, double block_panels) const;

 private:
  double gemm(double blocks) const;
};

double Work::gemm(double blocks) const {
  double sum = 0;
  const auto multiply = [&](double some_positions, double share) {
    const double rows = tiles / blocks * share, row_tiles = std::ceil(rows / mr);
    // Tiles of fewer rows wait for the multipliers' results.
    sum += some_positions * blocks *
           (std::max(rows, row_tiles * std::min(fma_rate() * kFewRows, 0.6 * mr)) * channels *
                columns / (fma_rate() * lanes) +
            row_tiles * panels * std::ceil(channels / depth) * kTileStart);
  };
  multiply((side - cut) * (side - cut), 1);
  multiply(cut * (side - cut), full_lines);
  multiply(cut * (side - cut), full_columns);
  multiply(cut * cut, full_lines * full_columns);
  return sum;
}

double Work::cycles(double block_tiles, double block_panels) const {
  const double l2 = static_cast<double>(l2_cache_bytes()) / sizeof(float);
  const double positions = side * side;
  const double blocks = std::ceil(tiles / block_tiles), passes = std::ceil(panels / block_panels);
  const double v = positions * block_tiles * v_row, m = positions * block_tiles * block_panels * nr;
  const double u = positions * channels * columns;

  if (source == Winograd::Source::lazy) {
    const double made = positions * depth * nr, deep = std::ceil(channels / depth);
    const double making = u * blocks / lanes * (2.5 + 5 * taps / positions);
    const double moved = positions * tiles * (channels * passes + 2 * columns * deep);
    const double lost = std::clamp(3 * (v * depth / v_row + m + made) / l2 - 2, 0.0, 4.0);
    const double transforms = positions * tiles * (8 * channels * passes + 6 * columns) / lanes +
                              moved * (1 / lanes + 0.25 * lost / kFromL3);
    const double weights = channels * columns * taps * blocks / kFromMemory;
    return overlapped(gemm(blocks) + making + transforms, weights);
  }

  // Weights are fetched ahead, but not for free; from L2 after the first block, if they fit. Of
  // others a part stays.
  const bool near = l3_is_near();
  const double l3 = near ? kFromNearL3 : kFromL3;
  const double memory = near ? kFromMemory * sharing : kFromMemory;
  const double again = u + v + m < l2 ? 0 : 0.3 * (blocks - 1);
  const double weights = u / (source == Winograd::Source::memory ? memory : l3) +
                         u * again / (near && u > kNearL3 ? kFromMemory : l3);
  // V and M are written and read once, V again for every further block of panels, among products
  // that wait for it: from L2, or, for what does not stay there with the weights that stream past,
  // from L3. A near L3 is quick to read, but the stores of M wait for what L2 has to give up first.
  const double moved =
      positions * tiles * (v_row * (near ? 1 + passes : 3 * passes - 1) + 2 * columns);
  const double lost = near ? 0.2 * std::clamp((v + m) / l2 / 2 - 0.125, 0.0, 1.0)
                           : 0.1 / kFromL3 * std::clamp(2 * (v + m) / l2 - 1, 0.0, 1.0);
  const double stores = near ? 1.5 * std::clamp(m / l2 - 0.5, 0.0, 1.0) : 0;
  const double transforms = positions * tiles * (8 * channels + 6 * columns) / lanes +
                            moved * (1 / lanes + lost) + positions * tiles * columns * stores;
  const double foreign_cycles = near ? foreign / kFromNeighbour : 0;
  const double products = gemm(blocks);
  return std::max(products, weights) + 0.2 * std::min(products, weights) + transforms +
         foreign_cycles;
}

// Of two cuts the one that leaves fewer positions; of tiles of 4 that is the first.
std::int64_t pixels_of(Cut cut, PictureSize out, int m, std::int64_t side) {
  if (cut != Cut::better || m < 6) return cut == Cut::two ? 2 : 1;
  const auto positions = [&](std::int64_t by) {
    return Tiling(out.h, m, side, by).positions() * Tiling(out.w, m, side, by).positions();
  };
  return positions(2) < positions(1) ? 2 : 1;
}

}  // namespace

int Winograd::Plan::useful_threads(const Conv2dParams& p, std::int64_t batch, PictureSize out,
                                   int threads) {
  const double work = static_cast<double>(batch * out.h * out.w) *
                      static_cast<double>(p.in_channels * p.out_channels) * 4;
  return static_cast<int>(std::clamp<double>(work / kMinWorkPerThread, 1, threads));
}

Winograd::Plan::Plan(const Conv2dParams& params, int m, const TileKernels& kernels,
                     std::int64_t batch, PictureSize out, int threads, Source source, Cut cut)
    : lines(out.h, m, m + params.kernel_h - 1, pixels_of(cut, out, m, m + params.kernel_h - 1)),
      columns(out.w, m, lines.t, lines.cut) {
  const std::int64_t side = lines.t;
  in_picture = lines.count * columns.count;
  tiles = batch * in_picture;
  panels = ceil_div(params.out_channels, kernels.nr);
  const std::int64_t channels = params.in_channels;
  depth = source == Source::lazy ? std::min(channels, kLazyDepth) : channels;
  // Rows of A that share an L1 set would push each other out.
  v_row = depth % 1024 == 0 ? depth + 16 : round_up(depth, 16);

  cycles = -1;
  for (int parts = 1; parts <= threads; ++parts) {
    if (threads % parts != 0) continue;
    const std::int64_t my_tiles = ceil_div(tiles, parts);
    const std::int64_t my_panels = ceil_div(panels, threads / parts);
    const auto number = [](std::int64_t i) { return static_cast<double>(i); };
    const std::int64_t my_columns =
        std::min(my_panels * kernels.nr, round_up(params.out_channels, kernels.lanes));
    const Work work = {
        number(my_tiles),
        number(my_panels),
        number(my_columns),
        number(channels),
        number(side),
        number(v_row),
        number(lines.cut),
        lines.share_of_full(),
        columns.share_of_full(),
        number(kernels.lanes),
        number(kernels.mr),
        number(kernels.nr),
        number(depth),
        number(params.kernel_h * params.kernel_w),
        number(parts),
        (1 - number(parts) / number(threads)) * number(my_tiles * lines.m * columns.m * channels),
        source};
    for (std::int64_t rows : {1, 2, 3, 4, 6, 8}) {
      const std::int64_t blocks = ceil_div(my_tiles, rows * kernels.mr);
      const std::int64_t some_tiles = ceil_div(my_tiles, blocks);
      for (std::int64_t wanted : {1, 2, 4, 8, 16}) {
        const std::int64_t some_panels = ceil_div(my_panels, ceil_div(my_panels, wanted));
        const double estimate = work.cycles(number(some_tiles), number(some_panels));
        if (cycles < 0 || estimate < cycles) {
          cycles = estimate;
          tile_parts = parts;
          panel_parts = threads / parts;
          block_tiles = some_tiles;
          block_panels = some_panels;
        }
        if (wanted >= my_panels) break;
      }
      if (blocks == 1) break;
    }
  }
}

double Winograd::Plan::reading(const Conv2dParams& strided) const {
  if (strided.stride_h == 1) return 0;
  const double side =
      static_cast<double>(lines.m + ceil_div(strided.kernel_h, strided.stride_h)) - 1;
  const double vectors =
      static_cast<double>(ceil_div(strided.stride_w * strided.in_channels, tile_kernels().lanes));
  const double reads = static_cast<double>(ceil_div(tiles, tile_parts) * strided.stride_h);
  return reads * side * (2 * side * vectors + 15);
}

}  // namespace fastconv
