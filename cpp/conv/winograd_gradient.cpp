// A task is a block of input channels times a block of output channels times a chunk of the tiles:
// its dU stays in L2, or L3, while the chunk's tiles are transformed and multiplied, some at a
// time. What is a task depends on the shape alone, and chunks are added in their order, so every
// bit is the same at any number of threads.
#include "conv/winograd_gradient.hpp"

#include <algorithm>

#include "conv/ahead.hpp"
#include "conv/chunks.hpp"
#include "conv/winograd.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"
#include "gemm/panels.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kSide = 6, kPositions = kSide * kSide;
constexpr std::int64_t kBlockChannels = 64;
constexpr std::int64_t kTasks = 32;        // at least, where there is work for them: even shares
constexpr std::int64_t kMinTiles = 48;     // of a chunk: fewer are not worth their sums
constexpr std::int64_t kMinChannels = 16;  // fewer rows than a register tile holds
constexpr std::int64_t kMinPass = 32, kMostPass = 128;  // tiles
// Where L2 is too small for dU and a pass worth dU's way to the registers and back, all of them
// come from L3: wider blocks then transform each picture less often.
constexpr std::int64_t kFarOutputs = 128, kFarPass = 64, kFarTasks = 16;

class Gradient {
 public:
  Gradient(const Conv2dParams& params, std::int64_t batch, PictureSize in_size)
      : p(params),
        in(in_size),
        out(conv2d_output_size(params, batch, in_size)),
        kernels(tile_kernels()),
        forward(winograd_kernels()),
        backward(winograd_gradient_kernels()),
        m(params.kernel_h == 3 ? 4 : 2),
        channels(params.in_channels / params.groups),
        outputs(params.out_channels / params.groups),
        tiles_w(ceil_div(out.w, m)),
        tiles_h(ceil_div(out.h, m)),
        tiles(batch * tiles_h * tiles_w),
        ld(round_up(outputs, kernels.nr)) {
    channel_blocks = ceil_div(channels, kBlockChannels);
    v_row = round_up(std::min(channels, kBlockChannels), 16);
    cut_outputs(kBlockChannels);
    // dU and the tiles of one pass fill two thirds of L2: pages do not spread evenly over its sets.
    const auto budget = static_cast<std::int64_t>(l2_cache_bytes() / sizeof(float) * 2 / 3);
    const std::int64_t rest = budget - kPositions * v_row * block_columns;
    pass_tiles = rest / (kPositions * (v_row + block_columns));
    std::int64_t wanted = kTasks;
    if (pass_tiles < kMinPass) {
      cut_outputs(kFarOutputs);
      pass_tiles = kFarPass;
      wanted = kFarTasks;
    }
    pass_tiles = std::clamp<std::int64_t>(pass_tiles, 1,
                                          std::min(kMostPass, std::max<std::int64_t>(1, tiles)));
    chunks = std::clamp<std::int64_t>(ceil_div(wanted, channel_blocks * output_blocks), 1,
                                      std::max<std::int64_t>(1, tiles / kMinTiles));
  }

  // Of one group, all on one core.
  double cycles() const {
    const double lanes = kernels.lanes, t = static_cast<double>(tiles * kPositions);
    const double products = t * static_cast<double>(channels * outputs) / (2 * lanes);
    const double transforms = t *
                              (8 * static_cast<double>(channels * output_blocks) +
                               6 * static_cast<double>(outputs * channel_blocks)) /
                              lanes;
    const double sums = static_cast<double>(kPositions * channels * ld * chunks) / lanes;
    return 1.25 * products + transforms + 2 * sums;
  }
  double direct_cycles() const {
    const double pixels =
        static_cast<double>(tiles / std::max<std::int64_t>(1, tiles_h * tiles_w) * out.h * out.w);
    return 1.15 * pixels * static_cast<double>(p.kernel_h * p.kernel_w * channels * outputs) /
           (2.0 * kernels.lanes);
  }

  void run(const float* grad_out, const float* x, float* grad_weight) const;

 private:
  // One task, of channels and output columns counted from the group's first.
  struct Task {
    Range channels, columns, tiles;
  };
  void cut_outputs(std::int64_t most) {
    output_blocks = ceil_div(outputs, round_up(most, kernels.nr));
    block_columns = round_up(ceil_div(outputs, output_blocks), kernels.nr);
  }
  std::int64_t tasks() const { return channel_blocks * output_blocks * chunks; }
  Task task_at(std::int64_t index) const;
  std::int64_t n_passes(const Task& task) const { return ceil_div(task.tiles.size(), pass_tiles); }
  Range pass_at(const Task& task, std::int64_t i) const {
    const Range pass = split(task.tiles.size(), n_passes(task), i);
    return {task.tiles.begin + pass.begin, task.tiles.begin + pass.end};
  }
  void run_task(std::int64_t index, const float* grad_out, const float* x, float* scratch,
                float* sums, float* grad_weight) const;
  AskAhead ask_ahead(const Task& next, Range pass, const float* grad_out, const float* x,
                     std::int64_t calls, std::int64_t depth) const;
  void transform(const Task& task, Range pass, const float* grad_out, const float* x,
                 const float* zeros, float* v, float* dm) const;

  // From one position to the next of dU, V and dM.
  std::int64_t du_position() const { return position_floats(v_row, block_columns); }
  std::int64_t v_position(std::int64_t count) const { return position_floats(count, v_row); }
  std::int64_t dm_position(std::int64_t count) const {
    return position_floats(count, block_columns);
  }
  std::int64_t scratch_floats() const {
    return kPositions * (du_position() + v_position(pass_tiles) + dm_position(pass_tiles)) +
           round_up(std::max(v_row, block_columns), 16) +
           SumBlock::own_floats(chunks > 1 ? 0 : taps() * v_row, block_columns);
  }
  std::int64_t taps() const { return p.kernel_h * p.kernel_w; }

  const Conv2dParams& p;
  PictureSize in, out;
  const TileKernels& kernels;
  const WinogradKernels& forward;
  const WinogradGradientKernels& backward;
  std::int64_t m, channels, outputs, tiles_w, tiles_h, tiles, ld;
  std::int64_t channel_blocks, output_blocks, block_columns, v_row, pass_tiles, chunks;
};

Gradient::Task Gradient::task_at(std::int64_t index) const {
  const std::int64_t chunk = index % chunks, block = index / chunks;
  const std::int64_t column = block % output_blocks * block_columns;
  return {split(channels, channel_blocks, block / output_blocks),
          {column, std::min(column + block_columns, outputs)},
          split(tiles, chunks, chunk)};
}

// V and A dY A^T of some tiles, the latter as panels of each position.
void Gradient::transform(const Task& task, Range pass, const float* grad_out, const float* x,
                         const float* zeros, float* v, float* dm) const {
  const bool wide = p.kernel_h == 5;
  const auto input = forward.forms[p.kernel_h - 3][wide ? 0 : 1].input[0][0][0];
  const auto spread = backward.spread[wide];
  const std::int64_t count = pass.size();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t tile = pass.begin + i, in_tile = tile % (tiles_h * tiles_w);
    const std::int64_t image = tile / (tiles_h * tiles_w);
    const std::int64_t y = in_tile / tiles_w * m, left = in_tile % tiles_w * m;
    const float* pixels[kPositions];
    // Pixels of a picture from (y0, x0) on, `side` each way; zeros outside.
    const auto gather = [&](const float* picture, PictureSize size, std::int64_t stride,
                            std::int64_t y0, std::int64_t x0, std::int64_t side) {
      for (std::int64_t r = 0; r < side; ++r) {
        const bool line = y0 + r >= 0 && y0 + r < size.h;
        const float* from = picture + ((image * size.h + y0 + r) * size.w + x0) * stride;
        for (std::int64_t c = 0; c < side; ++c) {
          const bool inside = line && x0 + c >= 0 && x0 + c < size.w;
          pixels[r * side + c] = inside ? from + c * stride : zeros;
        }
      }
    };
    gather(x + task.channels.begin, in, p.in_channels, y - p.pad_top, left - p.pad_left, kSide);
    input(pixels, task.channels.size(), m * p.in_channels, v + i * v_row, v_position(count));

    gather(grad_out + task.columns.begin, out, p.out_channels, y, left, m);
    for (std::int64_t first = 0; first < task.columns.size(); first += kernels.nr) {
      const std::int64_t columns = std::min<std::int64_t>(kernels.nr, task.columns.size() - first);
      const std::int64_t width = columns > kernels.lanes ? kernels.nr : kernels.lanes;
      spread(pixels, columns, width, dm + first * count + i * width, dm_position(count));
      for (std::int64_t j = 0; j < m * m; ++j) pixels[j] += pixels[j] == zeros ? 0 : kernels.nr;
    }
  }
}

// All lines that the tiles of a pass lie on, about.
AskAhead Gradient::ask_ahead(const Task& next, Range pass, const float* grad_out, const float* x,
                             std::int64_t calls, std::int64_t depth) const {
  const std::int64_t in_picture = tiles_h * tiles_w;
  const auto pixels = [&](const float* from, PictureSize size, std::int64_t spacing, Range of) {
    const auto pixel = [&](std::int64_t tile) {
      const std::int64_t line = std::min(tile % in_picture / tiles_w * m, size.h);
      return (tile / in_picture * size.h + line) * size.w;
    };
    const std::int64_t first = pixel(pass.begin);
    return Pixels{from + first * spacing + of.begin, spacing, of.size(), pixel(pass.end) - first};
  };
  return {pixels(x, in, p.in_channels, next.channels),
          pixels(grad_out, out, p.out_channels, next.columns), calls, depth};
}

void Gradient::run_task(std::int64_t index, const float* grad_out, const float* x, float* scratch,
                        float* sums, float* grad_weight) const {
  const Task task = task_at(index), next_task = task_at(std::min(index + 1, tasks() - 1));
  float* du = scratch;
  float* v = du + kPositions * du_position();
  float* dm = v + kPositions * v_position(pass_tiles);
  float* zeros = dm + kPositions * dm_position(pass_tiles);
  std::fill_n(zeros, std::max(v_row, block_columns), 0.0f);
  const std::int64_t rows = task.channels.size(), columns = task.columns.size();

  Tile register_tiles[kBlockChannels];
  const std::int64_t n_tiles = ceil_div(rows, kernels.mr);
  for (std::int64_t i = 0; i < n_tiles; ++i) {
    const Range r = split(rows, n_tiles, i);
    const std::int64_t half = r.begin + (r.size() + 1) / 2;
    register_tiles[i] = {
        {r.begin, half}, {r.begin * block_columns, half * block_columns}, r.size()};
  }

  const std::int64_t passes = n_passes(task);
  const std::int64_t calls = n_tiles * ceil_div(columns, kernels.nr);
  for (std::int64_t s = 0; s < passes; ++s) {
    const bool last = s + 1 == passes;
    const Range pass = pass_at(task, s);
    const std::int64_t count = pass.size();
    const AskAhead ahead =
        ask_ahead(last ? next_task : task, last ? pass_at(next_task, 0) : pass_at(task, s + 1),
                  grad_out, x, kPositions * calls, count);
    transform(task, pass, grad_out, x, zeros, v, dm);
    const Run run = {0, count};
    TileJob job = {};
    job.tiles = register_tiles;
    job.n_tiles = n_tiles;
    job.runs = &run;
    job.n_runs = 1;
    job.a_row = 1;
    job.a_step = v_row;
    job.panel_stride = count * kernels.nr;
    job.k_length = count;
    job.n_end = columns;
    job.c_row = block_columns;
    job.alpha = 1;
    job.beta = s == 0 ? 0.0f : 1.0f;
    for (std::int64_t position = 0; position < kPositions; ++position) {
      job.a = v + position * v_position(count);
      job.b = dm + position * dm_position(count);
      job.c = du + position * du_position();
      job.fetch = ahead.share(position * calls, calls);
      kernels.by_column(job);
    }
  }

  const SumBlock block = {task.channels, task.columns, channels, taps()};
  const SumBlock::Rows to = sums != nullptr
                                ? block.among(sums, ld)
                                : block.own(zeros + round_up(std::max(v_row, block_columns), 16));
  const auto collect = backward.collect[p.kernel_h == 3 ? 0 : 1];
  for (std::int64_t c = 0; c < rows; ++c) {
    collect(du + c * block_columns, du_position(), round_up(columns, kernels.lanes),
            to.data + c * to.ld, to.tap_rows * to.ld);
  }
  if (sums == nullptr) block.write(to, grad_weight);
}

void Gradient::run(const float* grad_out, const float* x, float* grad_weight) const {
  const int threads = static_cast<int>(std::min<std::int64_t>(get_num_threads(), tasks()));
  sum_in_chunks(p, {tasks(), chunks, scratch_floats(), ld, threads}, grad_weight,
                [&](std::int64_t i, std::int64_t group, float* scratch, float* sums, float* to) {
                  run_task(i, grad_out + group * outputs, x + group * channels, scratch, sums, to);
                });
}

}  // namespace

bool winograd_gradient_pays(const Conv2dParams& p, std::int64_t batch, PictureSize in) {
  if (!Winograd::supports(p, 4) || p.stride_h > 1 || p.kernel_h == 4) return false;
  if (p.in_channels / p.groups < kMinChannels) return false;
  const Gradient gradient(p, batch, in);
  return gradient.cycles() < gradient.direct_cycles();
}

void winograd_backward_weight(const Conv2dParams& p, std::int64_t batch, PictureSize in,
                              const float* grad_out, const float* x, float* grad_weight) {
  Gradient(p, batch, in).run(grad_out, x, grad_weight);
}

}  // namespace fastconv
