#include "gemm/implicit.hpp"

#include <algorithm>
#include <cstring>

#include "core/costs.hpp"
#include "core/memory.hpp"

namespace fastconv {
namespace {

// Rows of A whose starts share their low 12 bits fall into one L1 set of 8 to 12 ways; a tile has
// up to 14. Such rows are copied to a strip with one more line a pixel.
constexpr std::int64_t kL1SetStride = 1024;  // floats
constexpr std::int64_t kLine = 16;

// An output larger than this would push its input out of any share of L3: write past the caches.
constexpr std::int64_t kStreamBytes = std::int64_t{64} << 20;

// Less than this many multiply-adds are done before another thread has woken.
constexpr std::int64_t kMinWorkPerThread = 200'000;

// The first tile that runs across all panels waits for them; with so many after it that counts
// little.
constexpr std::int64_t kTilesAcross = 16;

struct KBlock {
  std::int64_t k_begin, k_length;
  std::vector<Run> runs;
};

}  // namespace

// A unit is what a strip holds one or more of: a line of output pixels, or, where all output pixels
// are evenly spaced in memory (`flat`), one tile's worth of them.
struct GemmPlan::Impl {
  Impl(const ImplicitGemm& problem, int most_threads)
      : g(problem), kernels(*problem.kernels), max_threads(most_threads) {
    measure_taps();
    flatten();
    choose_strip();
    block_k();
    divide();
  }

  void execute(const GemmOperands& operands) const;
  double cycles(bool weights_stay) const;

  struct Part {
    Range units, panels;
  };

  void measure_taps();
  void flatten();
  void choose_strip();
  std::int64_t kc() const;
  void block_k();
  void divide();
  void work(const GemmOperands& operands, std::int64_t index, float* strip, Tile* tiles) const;
  void fill_strip(const float* in, Range range, float* strip) const;
  void copy_line(const float* row, float* to) const;
  std::int64_t plan_tiles(Range range, Tile* tiles) const;

  // The pixels of one unit of a flat plan.
  Range pixels(std::int64_t unit) const { return split(g.out_w, units, unit); }
  // f(image, first output line, lines) for every picture that a range of units touches.
  template <class F>
  void each_picture(Range range, const F& f) const {
    for (std::int64_t unit = range.begin; unit < range.end;) {
      const std::int64_t y = unit % g.out_h, lines = std::min(g.out_h - y, range.end - unit);
      f(unit / g.out_h, y, lines);
      unit += lines;
    }
  }
  std::int64_t max_tiles() const {
    const std::int64_t groups = ceil_div(g.out_w, kernels.mr / 2);
    return flat ? strip_units : ceil_div(strip_units * groups, 2);
  }
  // Rows of the strip that `lines` consecutive output lines of one picture need.
  std::int64_t strip_rows(std::int64_t lines) const {
    return one_tap ? lines : (lines - 1) * g.step_h + max_dy - min_dy + 1;
  }

  ImplicitGemm g;
  const TileKernels& kernels;
  const int max_threads;

  std::int64_t min_dy = 0, max_dy = 0, min_dx = 0, max_dx = 0;
  bool inside = true;  // no tap leaves the picture
  bool one_tap = false;
  bool flat = false;
  bool copy = false;
  bool stream = false;
  std::int64_t start = 0;       // floats to the first pixel that a single tap inside sees
  std::int64_t in_spacing = 0;  // floats between successive output pixels' windows in `in`
  std::int64_t a_row = 0;       // the same where tiles read it: in `in` or in the strip
  std::int64_t strip_pixel = 0, strip_line = 0;  // floats
  std::int64_t units = 0, strip_units = 1, strip_floats = 0;
  std::vector<KBlock> k_blocks;
  std::vector<Part> parts;
  // Of the largest part: cycles of multiply-adds; floats of its weights and strips, each once; and
  // of what it reads again.
  double gemm_cycles = 0, weight_floats = 0, picture_floats = 0, again_floats = 0;
};

void GemmPlan::Impl::measure_taps() {
  one_tap = g.taps.size() == 1;
  if (g.taps.empty()) return;
  min_dy = max_dy = g.taps[0].dy;
  min_dx = max_dx = g.taps[0].dx;
  for (const Tap& tap : g.taps) {
    min_dy = std::min(min_dy, tap.dy);
    max_dy = std::max(max_dy, tap.dy);
    min_dx = std::min(min_dx, tap.dx);
    max_dx = std::max(max_dx, tap.dx);
  }
  inside = min_dy >= 0 && min_dx >= 0 && (g.out_h - 1) * g.step_h + max_dy < g.in_h &&
           (g.out_w - 1) * g.step_w + max_dx < g.in_w;
}

// Folds lines, then pictures, into one line of evenly spaced pixels where memory is so laid out.
void GemmPlan::Impl::flatten() {
  in_spacing = g.step_w * g.in_pixel;
  if (!inside) return;
  const auto fold = [&](std::int64_t& count, std::int64_t in_stride, std::int64_t out_stride) {
    if (count == 1) return true;
    if (g.out_w == 1) {
      in_spacing = in_stride;
      g.out_pixel = out_stride;
    } else if (in_stride != g.out_w * in_spacing || out_stride != g.out_w * g.out_pixel) {
      return false;
    }
    g.out_w *= count;
    count = 1;
    return true;
  };
  flat = fold(g.out_h, g.step_h * g.in_row, g.out_row) && fold(g.images, g.in_image, g.out_image);
}

void GemmPlan::Impl::choose_strip() {
  const bool conflict = in_spacing % kL1SetStride == 0 && g.out_w > 4;
  copy = !inside || (conflict && (one_tap || !flat));
  const std::int64_t budget = static_cast<std::int64_t>(l2_cache_bytes() / sizeof(float) / 3);

  strip_pixel = g.channels;
  if (strip_pixel % kL1SetStride == 0 || (!one_tap && strip_pixel * g.step_w % kL1SetStride == 0)) {
    strip_pixel += kLine;
  }
  if (flat) {
    units = ceil_div(g.out_w, kernels.mr);
    const std::int64_t unit_floats = std::max<std::int64_t>(1, kernels.mr * kc());
    strip_units = std::clamp<std::int64_t>(budget / unit_floats, 1, 512);
    strip_floats = strip_units * kernels.mr * strip_pixel;
  } else {
    units = g.images * g.out_h;
    const std::int64_t pixels = one_tap ? g.out_w : (g.out_w - 1) * g.step_w + max_dx - min_dx + 1;
    strip_line = pixels * strip_pixel;
    const std::int64_t unit_floats =
        std::max<std::int64_t>(1, (one_tap ? 1 : g.step_h) * strip_line);
    strip_units = std::clamp<std::int64_t>(budget / unit_floats, 1, 4096);
    // A strip that starts inside a picture can touch one more picture than it fills.
    const std::int64_t pictures = ceil_div(strip_units, g.out_h) + 1;
    strip_floats =
        strip_line * (strip_units * (one_tap ? 1 : g.step_h) + pictures * (max_dy - min_dy + 1));
  }
  strip_units = std::min(strip_units, std::max<std::int64_t>(1, units));
  a_row = copy ? (one_tap ? 1 : g.step_w) * strip_pixel : in_spacing;
  if (one_tap && inside) start = g.taps[0].dy * g.in_row + g.taps[0].dx * g.in_pixel;
}

// k is cut where a panel's share of it outgrows an eighth of L2.
std::int64_t GemmPlan::Impl::kc() const {
  const std::int64_t kc_limit = std::max<std::int64_t>(
      256, static_cast<std::int64_t>(l2_cache_bytes() / sizeof(float) / 8) / kernels.nr);
  const std::int64_t blocks = std::max<std::int64_t>(1, ceil_div(g.k, kc_limit));
  return round_up(ceil_div(g.k, blocks), kLine);
}

// Runs of contiguous k, cut into blocks.
void GemmPlan::Impl::block_k() {
  const std::int64_t kc = this->kc();
  k_blocks.push_back({0, 0, {}});
  std::int64_t k = 0;
  for (const Tap& tap : g.taps) {
    std::int64_t offset = one_tap ? 0
                          : copy  ? (tap.dy - min_dy) * strip_line + (tap.dx - min_dx) * strip_pixel
                                  : tap.dy * g.in_row + tap.dx * g.in_pixel;
    for (std::int64_t left = g.channels; left > 0;) {
      if (k == k_blocks.back().k_begin + kc) k_blocks.push_back({k, 0, {}});
      const std::int64_t length = std::min(left, k_blocks.back().k_begin + kc - k);
      std::vector<Run>& runs = k_blocks.back().runs;
      if (!runs.empty() && runs.back().a + runs.back().length == offset) {
        runs.back().length += length;
      } else {
        runs.push_back({offset, length});
      }
      k_blocks.back().k_length += length;
      k += length;
      offset += length;
      left -= length;
    }
  }
}

// Cuts units times panels among the threads, along the axis (or both) that costs least: the largest
// part's arithmetic, plus half of the time that its weights and its strips take to arrive.
void GemmPlan::Impl::divide() {
  const std::int64_t panels = ceil_div(g.n, kernels.nr);
  const std::int64_t unit_pixels = flat ? kernels.mr : g.out_w;
  const double total = static_cast<double>(units) * static_cast<double>(unit_pixels) *
                       static_cast<double>(g.k) * static_cast<double>(g.n);
  const int threads =
      static_cast<int>(std::clamp<double>(total / kMinWorkPerThread, 1.0, max_threads));
  const double fma_per_cycle = fma_rate() * kernels.lanes;

  int best_rows = 1;
  double best = -1;
  for (int rows = 1; rows <= threads; ++rows) {
    if (threads % rows != 0) continue;
    const int columns = threads / rows;
    const double my_units = static_cast<double>(ceil_div(units, rows));
    // Of a panel only the vectors that have columns are computed.
    const double my_columns = static_cast<double>(
        std::min(ceil_div(panels, columns) * kernels.nr, round_up(g.n, kernels.lanes)));
    const double strips = std::max(1.0, my_units / static_cast<double>(strip_units));
    const double weights = my_columns * static_cast<double>(g.k);
    const double picture = my_units * static_cast<double>(unit_pixels * g.channels);
    const double gemm =
        my_units * static_cast<double>(unit_pixels * g.k) * my_columns / fma_per_cycle;
    // Who computes all channels of its pixels has most likely written what it reads.
    const double foreign = picture * (columns - 1) / columns;
    const double cost =
        gemm + 0.5 * (weights * strips + picture) / kFromL3 + foreign / kFromNeighbour;
    if (best < 0 || cost < best) {
      best = cost;
      best_rows = rows;
      gemm_cycles = gemm;
      weight_floats = weights;
      picture_floats = picture;
      again_floats = weights * (strips - 1);
    }
  }
  const int columns = threads / best_rows;
  for (int r = 0; r < best_rows; ++r) {
    for (int c = 0; c < columns; ++c) {
      const Part part = {split(units, best_rows, r), split(panels, columns, c)};
      if (part.units.size() > 0 && part.panels.size() > 0) parts.push_back(part);
    }
  }

  const std::int64_t bytes = g.images * g.out_h * g.out_w * g.n * 4;
  const auto on_lines = [](std::int64_t floats) { return floats % kLine == 0; };
  stream = bytes >= kStreamBytes && k_blocks.size() == 1 && g.beta == 0.0f &&
           on_lines(g.out_pixel) && on_lines(g.out_row) && on_lines(g.out_image);
}

double GemmPlan::Impl::cycles(bool weights_stay) const {
  const double moved = weight_floats / (weights_stay ? kFromL3 : kFromMemory) +
                       (picture_floats + again_floats) / kFromL3;
  return overlapped(gemm_cycles, moved);
}

// One line of the strip from a line of the picture, with zeros outside it. A single tap takes only
// the pixels that it sees.
void GemmPlan::Impl::copy_line(const float* row, float* to) const {
  const std::int64_t step = one_tap ? g.step_w : 1;
  const std::int64_t count = strip_line / std::max<std::int64_t>(1, strip_pixel);
  const std::int64_t left =
      std::clamp<std::int64_t>(ceil_div(std::max<std::int64_t>(0, -min_dx), step), 0, count);
  const std::int64_t end = std::clamp<std::int64_t>(
      ceil_div(std::max<std::int64_t>(0, g.in_w - min_dx), step), left, count);
  const auto bytes = [](std::int64_t floats) {
    return static_cast<std::size_t>(floats) * sizeof(float);
  };
  std::memset(to, 0, bytes(left * strip_pixel));
  if (end > left) {
    const float* from = row + (min_dx + left * step) * g.in_pixel;
    if (step == 1 && g.in_pixel == g.channels && strip_pixel == g.channels) {
      std::memcpy(to + left * strip_pixel, from, bytes((end - left) * g.channels));
    } else {
      for (std::int64_t i = left; i < end; ++i, from += step * g.in_pixel) {
        std::memcpy(to + i * strip_pixel, from, bytes(g.channels));
      }
    }
  }
  std::memset(to + end * strip_pixel, 0, bytes((count - end) * strip_pixel));
}

// Copies what the units' tiles will read, picture by picture.
void GemmPlan::Impl::fill_strip(const float* in, Range range, float* strip) const {
  if (flat) {
    const std::int64_t end = pixels(range.end - 1).end;
    for (std::int64_t i = pixels(range.begin).begin; i < end; ++i, strip += strip_pixel) {
      std::memcpy(strip, in + start + i * in_spacing,
                  static_cast<std::size_t>(g.channels) * sizeof(float));
    }
    return;
  }
  each_picture(range, [&](std::int64_t image, std::int64_t y, std::int64_t lines) {
    const std::int64_t rows = strip_rows(lines), step = one_tap ? g.step_h : 1;
    for (std::int64_t i = 0; i < rows; ++i, strip += strip_line) {
      const std::int64_t in_y = y * g.step_h + min_dy + i * step;
      if (in_y < 0 || in_y >= g.in_h) {
        std::memset(strip, 0, static_cast<std::size_t>(strip_line) * sizeof(float));
      } else {
        copy_line(in + image * g.in_image + in_y * g.in_row, strip);
      }
    }
  });
}

std::int64_t GemmPlan::Impl::plan_tiles(Range range, Tile* tiles) const {
  std::int64_t n_tiles = 0;
  if (flat) {
    const std::int64_t first = copy ? pixels(range.begin).begin : 0;
    for (std::int64_t unit = range.begin; unit < range.end; ++unit) {
      const Range p = pixels(unit);
      const std::int64_t second = p.begin + (p.size() + 1) / 2;
      tiles[n_tiles++] = {{(p.begin - first) * a_row, (second - first) * a_row},
                          {p.begin * g.out_pixel, second * g.out_pixel},
                          p.size()};
    }
    return n_tiles;
  }

  // Lines are cut into groups whose sizes differ by at most one; two groups make a tile, whichever
  // lines they come from.
  struct Group {
    std::int64_t a, c, rows;
  };
  Group waiting = {0, 0, 0};
  const std::int64_t groups = ceil_div(g.out_w, kernels.mr / 2);
  std::int64_t strip_offset = 0;
  each_picture(range, [&](std::int64_t image, std::int64_t y, std::int64_t lines) {
    for (std::int64_t line = 0; line < lines; ++line) {
      const std::int64_t a = copy ? strip_offset + line * (one_tap ? 1 : g.step_h) * strip_line
                                  : image * g.in_image + (y + line) * g.step_h * g.in_row;
      const std::int64_t c = image * g.out_image + (y + line) * g.out_row;
      for (std::int64_t i = 0; i < groups; ++i) {
        const Range x = split(g.out_w, groups, i);
        Group group = {a + x.begin * a_row, c + x.begin * g.out_pixel, x.size()};
        if (waiting.rows == 0) {
          waiting = group;
          continue;
        }
        if (waiting.rows < group.rows) std::swap(waiting, group);
        tiles[n_tiles++] = {{waiting.a, group.a}, {waiting.c, group.c}, waiting.rows + group.rows};
        waiting.rows = 0;
      }
    }
    strip_offset += strip_rows(lines) * strip_line;
  });
  if (waiting.rows > 0) {
    const std::int64_t half = (waiting.rows + 1) / 2;
    tiles[n_tiles++] = {{waiting.a, waiting.a + half * a_row},
                        {waiting.c, waiting.c + half * g.out_pixel},
                        waiting.rows};
  }
  return n_tiles;
}

void GemmPlan::Impl::work(const GemmOperands& operands, std::int64_t index, float* strip,
                          Tile* tiles) const {
  const Part& part = parts[static_cast<std::size_t>(index)];
  TileJob job;
  job.tiles = tiles;
  job.a = copy ? strip : operands.in + start;
  job.cold = !copy && one_tap && g.in_pixel == g.channels && g.step_w == 1;
  job.single = flat && g.out_w == 1;
  job.single_by_l2 = l3_is_near();
  job.a_row = a_row;
  job.a_step = 1;
  job.panel_stride = g.k * kernels.nr;
  job.c = operands.out;
  job.c_row = g.out_pixel;
  job.alpha = g.alpha;
  job.stream = stream && reinterpret_cast<std::uintptr_t>(operands.out) % 64 == 0;

  const std::int64_t half_of_l2 = static_cast<std::int64_t>(l2_cache_bytes() / sizeof(float) / 2);
  // A vector takes panel after panel with all of k, so that weights are read as they lie.
  const std::int64_t at_once = job.single ? 1 : part.panels.size();
  const std::int64_t strips = ceil_div(part.units.size(), strip_units);
  for (std::int64_t i = 0; i < strips; ++i) {
    Range range = split(part.units.size(), strips, i);
    range = {part.units.begin + range.begin, part.units.begin + range.end};
    if (copy) fill_strip(operands.in, range, strip);
    job.n_tiles = plan_tiles(range, tiles);
    for (std::int64_t p = part.panels.begin; p < part.panels.end; p += at_once) {
      job.b = operands.panels + p * job.panel_stride;
      job.n_begin = p * kernels.nr;
      job.n_end = std::min((p + at_once) * kernels.nr, g.n);
      job.next_b = nullptr;
      for (std::size_t k = 0; k < k_blocks.size(); ++k) {
        const bool opens = k == 0, last = k + 1 == k_blocks.size();
        job.runs = k_blocks[k].runs.data();
        job.n_runs = static_cast<std::int64_t>(k_blocks[k].runs.size());
        job.k_begin = k_blocks[k].k_begin;
        job.k_length = k_blocks[k].k_length;
        job.across = at_once > 1 && job.n_tiles >= kTilesAcross &&
                     (job.n_end - job.n_begin) * job.k_length <= half_of_l2;
        job.beta = opens ? g.beta : 1.0f;
        job.bias = last ? operands.bias : nullptr;
        // First, so that the result may take the residual's place.
        job.residual = opens ? operands.residual : nullptr;
        job.activation = last ? g.activation : Activation{};
        if (last && i + 1 == strips) {
          job.next_b = operands.next.from(index, static_cast<std::int64_t>(parts.size()));
        }
        kernels.by_row(job);
      }
    }
  }
}

void GemmPlan::Impl::execute(const GemmOperands& operands) const {
  const std::int64_t n_parts = static_cast<std::int64_t>(parts.size());
  const std::int64_t my_strip = copy ? round_up(strip_floats, kLine) : 0;
  const std::int64_t my_tiles = max_tiles();
  Scratch strips(n_parts * my_strip);
  // Tile is a handful of 64-bit integers; two floats' room each.
  Scratch tiles(n_parts * my_tiles * static_cast<std::int64_t>(sizeof(Tile) / sizeof(float)));
  Tile* tile_memory = reinterpret_cast<Tile*>(tiles.data());
  parallel_team(static_cast<int>(n_parts), [&](int i) {
    work(operands, i, strips.data() + i * my_strip, tile_memory + i * my_tiles);
  });
}

GemmPlan::GemmPlan(const ImplicitGemm& problem, int threads) {
  const bool empty =
      problem.images == 0 || problem.out_h == 0 || problem.out_w == 0 || problem.n == 0;
  if (!empty) impl_ = std::make_unique<Impl>(problem, threads);
}

GemmPlan::~GemmPlan() = default;
GemmPlan::GemmPlan(GemmPlan&&) noexcept = default;
GemmPlan& GemmPlan::operator=(GemmPlan&&) noexcept = default;

void GemmPlan::run(const GemmOperands& operands) const {
  if (impl_ != nullptr) impl_->execute(operands);
}

double GemmPlan::cycles(bool weights_stay) const {
  return impl_ == nullptr ? 0 : impl_->cycles(weights_stay);
}

void ImplicitGemm::run(const GemmOperands& operands) const {
  GemmPlan(*this, get_num_threads()).run(operands);
}

}  // namespace fastconv
