#include "conv/winograd.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "conv/phases.hpp"
#include "conv/winograd_plan.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kMaxPositions = 64;
constexpr std::int64_t kPackedChannels = 16;  // of weights that are on their way to U

// The tiles of a block in the order of V's rows: by how they are short, so that the tiles that have
// a position follow one another, whichever it is.
class BlockOrder {
 public:
  template <class Plan>
  BlockOrder(const Plan& plan, Range block) {
    plan.each(block, [&](std::int64_t, std::int64_t y, std::int64_t x) {
      ++begin_[kind(plan.lines.is_short(y), plan.columns.is_short(x)) + 1];
    });
    std::partial_sum(begin_, begin_ + 5, begin_);
    rewind();
  }

  void rewind() { std::copy_n(begin_, 4, next_); }
  // The row of the next tile.
  std::int64_t next(bool short_h, bool short_w) { return next_[kind(short_h, short_w)]++; }
  // The rows that have a position whose line, and whose column, short tiles leave out or not.
  Range rows(bool line_left_out, bool column_left_out) const {
    return {column_left_out ? begin_[1] : 0, begin_[line_left_out ? 2 : (column_left_out ? 3 : 4)]};
  }

 private:
  static int kind(bool short_h, bool short_w) { return short_h ? 2 + short_w : 1 - short_w; }

  std::int64_t begin_[5] = {}, next_[4];
};

}  // namespace

std::int64_t Winograd::weight_floats(const Conv2dParams& params, int tile) {
  const Conv2dParams phases = over_phases(params);
  const std::int64_t side = tile + phases.kernel_h - 1;
  return side * side * Panels::floats(tile_kernels(), phases.in_channels, phases.out_channels);
}

Winograd::Winograd(const Conv2dParams& params, int tile, const float* weight, Side side,
                   Source source, float* memory)
    : params_(params),
      phases_(over_phases(params)),
      side_(side),
      source_(source),
      m_(tile),
      t_(tile + static_cast<int>(phases_.kernel_h) - 1),
      tiles_(&tile_kernels()),
      kernels_(&winograd_kernels().forms[phases_.kernel_h - 3][tile / 2 - 1]),
      plain_(weight),
      plans_(new Recent<Plan>) {
  if (source == Source::lazy) return;
  std::vector<float> rearranged;
  if (params.stride_h > 1) {
    rearranged = phase_weights(params, weight);
    plain_ = rearranged.data();
  }
  const std::int64_t channels = phases_.in_channels, outputs = params.out_channels;
  position_floats_ = Panels::floats(*tiles_, channels, outputs);
  if (memory == nullptr) {
    own_ = AlignedBuffer::lasting(t_ * t_ * position_floats_);
    memory = own_.data();
  }
  weights_ = memory;

  const std::int64_t nr = tiles_->nr, panels = ceil_div(outputs, nr);
  const std::int64_t parts = std::min<std::int64_t>(get_num_threads(), panels);
  AlignedBuffer scratch(parts * packed_floats());
  parallel_team(static_cast<int>(parts), [&](int part) {
    const Range mine = split(panels, parts, part);
    for (std::int64_t p = mine.begin; p < mine.end; ++p) {
      make_weights(p, {0, channels}, scratch.data() + part * packed_floats(),
                   weights_ + p * nr * channels, position_floats_);
    }
  });
  plain_ = nullptr;
}

std::int64_t Winograd::packed_floats() const {
  return kPackedChannels * phases_.kernel_h * phases_.kernel_w * tiles_->nr;
}

// U of one panel's columns and some channels: the taps as in a direct convolution, of a few
// channels at a time, which stay in L1 until they are transformed.
void Winograd::make_weights(std::int64_t panel, Range channels, float* packed, float* u,
                            std::int64_t u_position) const {
  constexpr std::int64_t kMaxTaps = 25;
  const std::int64_t taps = phases_.kernel_h * phases_.kernel_w, first = panel * tiles_->nr;
  const std::int64_t columns = std::min<std::int64_t>(tiles_->nr, params_.out_channels - first);
  const std::int64_t width = columns > tiles_->lanes ? tiles_->nr : tiles_->lanes;
  std::int64_t order[kMaxTaps];
  std::iota(order, order + taps, 0);
  if (side_ == Side::backward) std::reverse(order, order + taps);
  const bool forward = side_ == Side::forward;
  // Rows of the given weights: of an output channel, or, seen from the other side, an input one.
  const std::int64_t row = taps * (forward ? phases_.in_channels : params_.out_channels);
  const auto from = [&](std::int64_t c) {
    return plain_ + (forward ? first * row + c * taps : c * row + first * taps);
  };
  for (std::int64_t c = channels.begin; c < channels.end; c += kPackedChannels) {
    const std::int64_t next = std::min(c + kPackedChannels, channels.end), some = next - c;
    if (next < channels.end) {  // rows are too many and too short for the machine's prefetchers
      const std::int64_t soon = std::min(kPackedChannels, channels.end - next);
      const std::int64_t rows = forward ? columns : soon;
      const std::int64_t length = taps * (forward ? soon : columns);
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t i = 0; i < length; i += 16) {
          __builtin_prefetch(from(next) + r * row + i, 0, 2);
        }
      }
    }
    const auto pack = forward ? tiles_->pack_taps : tiles_->pack_taps_back;
    pack(from(c), row, some, taps, order, taps, columns, packed);
    kernels_->weights(packed, some * width, u, u_position);
    u += some * width;
  }
}

Winograd::~Winograd() = default;
Winograd::Winograd(Winograd&&) noexcept = default;
Winograd& Winograd::operator=(Winograd&&) noexcept = default;

bool Winograd::supports(const Conv2dParams& p, int tile) {
  const std::int64_t kernel = ceil_div(p.kernel_h, p.stride_h);
  return kernel >= 3 && kernel <= (tile == 6 ? 3 : 5) && p.kernel_w == p.kernel_h &&
         p.stride_w == p.stride_h && p.dilation_h == 1 && p.dilation_w == 1;
}

double Winograd::cost(const Conv2dParams& params, int tile, std::int64_t batch, PictureSize in,
                      int threads, Source source) {
  const PictureSize out = conv2d_output_size(params, batch, in);
  const Conv2dParams phases = over_phases(params);
  threads = Plan::useful_threads(phases, batch, out, threads);
  const Plan plan(phases, tile, tile_kernels(), batch, out, threads, source,
                  params.stride_h == 1 ? Cut::better : Cut::one);
  return plan.cycles + plan.reading(params);
}

void Winograd::run(const float* x, std::int64_t x_pixel, std::int64_t batch, PictureSize in,
                   const Epilogue& epilogue, float* out, std::int64_t out_pixel,
                   const NextWeights& next, bool pools) const {
  const std::int64_t channels = phases_.in_channels, outputs = params_.out_channels;
  const std::int64_t positions = t_ * t_, nr = tiles_->nr, stride = params_.stride_h;
  PictureSize size = conv2d_output_size(params_, batch, in);
  if (pools) size = {size.h / 2 * 2, size.w / 2 * 2};
  if (batch == 0 || size.h == 0 || size.w == 0) return;
  const int threads = Plan::useful_threads(phases_, batch, size, get_num_threads());
  const auto plan = plans_->get({batch, in.h, in.w, threads, pools}, [&] {
    const Cut cut = pools ? Cut::two : (stride == 1 ? Cut::better : Cut::one);
    return Plan(phases_, m_, *tiles_, batch, size, threads, source_, cut);
  });
  const Plan& p = *plan;
  const auto& inputs = kernels_->input[p.lines.cut - 1];
  const auto& transforms_back = pools ? kernels_->pooled : kernels_->output[p.lines.cut - 1];
  const std::int64_t pool = pools ? 2 : 1;

  const bool lazy = source_ == Source::lazy;
  const std::int64_t v_floats = positions * position_floats(p.block_tiles, p.v_row);
  const std::int64_t m_columns = p.block_panels * nr;
  const std::int64_t m_floats = positions * position_floats(p.block_tiles, m_columns);
  // Zeros around the picture, or a square of its phases.
  const std::int64_t read_floats =
      round_up(stride == 1 ? channels : PhaseReader::memory_floats(params_, t_), 16);
  const std::int64_t u_position = position_floats(p.depth, nr);
  const std::int64_t made_floats = lazy ? positions * u_position + packed_floats() : 0;
  const std::int64_t part_floats =
      round_up(v_floats + m_floats + read_floats + made_floats, 1024) + 64;
  const int parts = p.tile_parts * p.panel_parts;
  Scratch scratch(parts * part_floats);
  Scratch tile_memory(parts * 4 * p.block_tiles *
                      static_cast<std::int64_t>(sizeof(Tile) / sizeof(float)));

  parallel_team(parts, [&](int part) {
    const Range my_tiles = split(p.tiles, p.tile_parts, part / p.panel_parts);
    const Range my_panels = split(p.panels, p.panel_parts, part % p.panel_parts);
    if (my_tiles.size() == 0 || my_panels.size() == 0) return;
    float* v = scratch.data() + part * part_floats;
    float* m = v + v_floats;
    float* zeros = m + m_floats;
    float* u = zeros + read_floats;
    float* packed = u + positions * u_position;
    if (stride == 1) std::fill_n(zeros, channels, 0.0f);
    PhaseReader phases(params_, t_, m + m_floats);
    const bool in_two_lines = stride > 1 && phases.in_two_lines(tiles_->lanes);
    const float* pixels[kMaxPositions];
    for (std::int64_t i = 0; i < positions && stride > 1; ++i) pixels[i] = phases.pixel(i);
    // Register tiles, for each kind of position.
    Tile* row_tiles = reinterpret_cast<Tile*>(tile_memory.data()) + part * 4 * p.block_tiles;

    const std::int64_t blocks = ceil_div(my_tiles.size(), p.block_tiles);
    for (std::int64_t b = 0; b < blocks; ++b) {
      Range block = split(my_tiles.size(), blocks, b);
      block = {my_tiles.begin + block.begin, my_tiles.begin + block.end};
      const std::int64_t v_position = position_floats(block.size(), p.v_row);
      const std::int64_t m_position = position_floats(block.size(), m_columns);

      const std::int64_t next_tile = stride == 1 ? m_ * x_pixel : 0;  // phases come from a copy
      BlockOrder order(p, block);
      const auto transform = [&](Range some) {
        order.rewind();
        p.each(block, [&](std::int64_t image, std::int64_t tile_y, std::int64_t tile_x) {
          const bool short_h = p.lines.is_short(tile_y), short_w = p.columns.is_short(tile_x);
          const std::int64_t y0 = p.lines.begin(tile_y) * stride - params_.pad_top;
          const std::int64_t x0 = p.columns.begin(tile_x) * stride - params_.pad_left;
          float* v_tile = v + order.next(short_h, short_w) * p.v_row;
          const float* picture = x + image * in.h * in.w * x_pixel;
          if (in_two_lines && phases.inside(x_pixel, in, y0, x0)) {
            const std::int64_t line = in.w * x_pixel;
            const PhaseTile tile = {picture + y0 * line + x0 * x_pixel, line, stride * x_pixel,
                                    stride};
            kernels_->input_phases[short_h][short_w](tile, v_tile, v_position);
            return;
          }
          if (stride > 1) phases.read(picture, x_pixel, in, y0, x0);
          for (std::int64_t y = 0; y < t_ && stride == 1; ++y) {
            const bool line = y0 + y >= 0 && y0 + y < in.h;
            const float* from = picture + ((y0 + y) * in.w + x0) * x_pixel + some.begin;
            for (std::int64_t j = 0; j < t_; ++j) {
              const bool inside = line && x0 + j >= 0 && x0 + j < in.w;
              pixels[y * t_ + j] = inside ? from + j * x_pixel : zeros;
            }
          }
          inputs[short_h][short_w](pixels, some.size(), next_tile, v_tile, v_position);
        });
      };

      std::int64_t n_row_tiles[4];
      for (int kind = 0; kind < 4; ++kind) {
        const Range rows = order.rows(kind / 2, kind % 2);
        n_row_tiles[kind] = ceil_div(rows.size(), tiles_->mr);
        for (std::int64_t i = 0; i < n_row_tiles[kind]; ++i) {
          const Range r = split(rows.size(), n_row_tiles[kind], i);
          const std::int64_t first = rows.begin + r.begin, second = first + (r.size() + 1) / 2;
          row_tiles[kind * p.block_tiles + i] = {{first * p.v_row, second * p.v_row},
                                                 {first * m_columns, second * m_columns},
                                                 r.size()};
        }
      }

      // Products of some panels and channels, whose weights begin at `from`.
      const auto multiply = [&](Range panels, Range some, const float* from, std::int64_t u_step,
                                const float* next_b, std::int64_t column) {
        const Run run = {0, some.size()};
        TileJob job;
        job.runs = &run;
        job.n_runs = 1;
        job.a_row = p.v_row;
        job.a_step = 1;
        job.b_in_l2 = lazy;
        job.panel_stride = some.size() * nr;
        job.k_begin = 0;
        job.k_length = some.size();
        job.n_begin = 0;
        job.n_end = std::min(panels.end * nr, outputs) - panels.begin * nr;
        job.c_row = m_columns;
        job.alpha = 1;
        job.beta = some.begin == 0 ? 0.0f : 1.0f;
        job.bias = nullptr;
        job.residual = nullptr;
        job.activation = {};
        job.stream = false;
        for (std::int64_t position = 0; position < positions; ++position) {
          const int kind = (p.lines.is_left_out(position / t_) ? 2 : 0) +
                           (p.columns.is_left_out(position % t_) ? 1 : 0);
          if (n_row_tiles[kind] == 0) continue;
          job.tiles = row_tiles + kind * p.block_tiles;
          job.n_tiles = n_row_tiles[kind];
          job.a = v + position * v_position;
          job.b = from + position * u_step;
          job.next_b = position + 1 < positions ? job.b + u_step : next_b;
          job.c = m + position * m_position + column;
          tiles_->by_row(job);
        }
      };

      const std::int64_t depths = ceil_div(channels, p.depth);
      for (std::int64_t panel = my_panels.begin; panel < my_panels.end; panel += p.block_panels) {
        const std::int64_t end = std::min(panel + p.block_panels, my_panels.end);
        const std::int64_t first = panel * nr;
        const std::int64_t columns = std::min(end * nr, outputs) - first;
        for (std::int64_t d = 0; d < depths; ++d) {
          const Range some = {d * p.depth, std::min((d + 1) * p.depth, channels)};
          if (depths > 1 || panel == my_panels.begin) transform(some);
          for (std::int64_t one = panel; lazy && one < end; ++one) {
            make_weights(one, some, packed, u, u_position);
            multiply({one, one + 1}, some, u, u_position, nullptr, (one - panel) * nr);
          }
          if (lazy) continue;
          const bool more_panels = end < my_panels.end, more_blocks = b + 1 < blocks;
          const float* next_b = more_panels   ? weights_ + end * channels * nr
                                : more_blocks ? weights_ + my_panels.begin * channels * nr
                                              : next.from(part, parts);
          multiply({panel, end}, some, weights_ + panel * channels * nr, position_floats_, next_b,
                   0);
        }

        WinogradOutput o;
        o.m_stride = m_position;
        o.columns = columns;
        o.bias = epilogue.bias == nullptr ? nullptr : epilogue.bias + first;
        o.activation = epilogue.activation;
        o.out_pixel = out_pixel;
        o.out_row = size.w / pool * out_pixel;
        order.rewind();
        p.each(block, [&](std::int64_t image, std::int64_t tile_y, std::int64_t tile_x) {
          const bool short_h = p.lines.is_short(tile_y), short_w = p.columns.is_short(tile_x);
          const std::int64_t y = p.lines.begin(tile_y) / pool;
          const std::int64_t x_out = p.columns.begin(tile_x) / pool;
          const std::int64_t at =
              (image * (size.h / pool) + y) * o.out_row + x_out * out_pixel + first;
          o.m = m + order.next(short_h, short_w) * m_columns;
          o.out = out + at;
          o.residual = epilogue.residual == nullptr ? nullptr : epilogue.residual + at;
          o.next = o.out + (p.columns.m - short_w * p.columns.cut) / pool * out_pixel;
          o.height = p.lines.length(tile_y);
          o.width = p.columns.length(tile_x);
          transforms_back[short_h][short_w](o);
        });
      }
    }
  });
}

}  // namespace fastconv
