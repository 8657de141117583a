// The gradient of convolution weights: a GEMM whose k runs over all output pixels of the batch.
//
//   dW(t * C + c, o) = sum_pixels x(pixel seen by tap t, c) * grad_out(pixel, o)
//
// A task is some input channels, of all taps, times a block of output channels times a chunk of the
// output lines. It goes through its lines in strips: grad_out is packed in panels that stay in L2,
// and every tile of dW gathers what it reads of x into L1, for all panels; read in place, pixels of
// 1,024 channels would fall into one set of L1. While tiles compute, they ask for the next strip.
// Chunks and strips depend on the shape alone, and are added in their order, so every bit is the
// same at any number of threads; blocks, which change none, suit the threads.
#include <algorithm>
#include <cstring>
#include <vector>

#include "conv/ahead.hpp"
#include "conv/chunks.hpp"
#include "conv/conv2d.hpp"
#include "conv/depthwise.hpp"
#include "conv/plane.hpp"
#include "conv/winograd_gradient.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"
#include "gemm/panels.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kStripPixels = 128;  // about: what a tile gathers and a panel fit L1
constexpr std::int64_t kPackedPixels = 16;
constexpr std::int64_t kBlockPanels = 8;
constexpr std::int64_t kBlockChannels = 16;  // a multiple of: whole lines of dW
constexpr std::int64_t kJoined = 32;
constexpr std::int64_t kRegisterTiles = 256;  // of all chunks, at least: work for many threads
constexpr std::int64_t kMinWork = 1'000'000;  // multiply-adds of a chunk: more than its sums cost

class WeightGradient {
 public:
  WeightGradient(const Conv2dParams& params, std::int64_t batch_size, PictureSize in_size,
                 const float* grad, const float* picture)
      : p(params),
        in(in_size),
        out(conv2d_output_size(params, batch_size, in_size)),
        lines(batch_size * out.h),
        grad_out(grad),
        x(picture),
        kernels(tile_kernels()),
        channels(params.in_channels / params.groups),
        outputs(params.out_channels / params.groups),
        rows(channels * params.kernel_h * params.kernel_w),
        ld(round_up(outputs, kernels.nr)) {
    const bool padded = p.pad_top > 0 || p.pad_bottom > 0 || p.pad_left > 0 || p.pad_right > 0;
    // Few channels are joined with those of the next kernel position, which needs the zeros around
    // the picture in place.
    joined = channels <= kJoined && p.dilation_w == 1 && p.groups == 1;
    copied = joined && padded;
    strip_w = in.w + p.pad_left + p.pad_right;
    strip_lines =
        std::clamp<std::int64_t>(kStripPixels / out.w, 1, std::max<std::int64_t>(1, lines));
    const double work = static_cast<double>(lines * out.w) * static_cast<double>(rows * outputs);
    const auto most = static_cast<std::int64_t>(work / kMinWork);
    const std::int64_t wanted = ceil_div(kRegisterTiles, n_tiles(channels) * n_panels());
    for (chunks = 1; chunks < wanted;) chunks *= 2;  // even shares
    chunks = std::clamp<std::int64_t>(std::min(chunks, most), 1,
                                      std::max<std::int64_t>(1, lines / strip_lines));
    threads = static_cast<int>(std::clamp<double>(work / kMinWork, 1, get_num_threads()));
    choose_blocks();
  }

  void run(float* grad_weight) const;

 private:
  struct Task {
    Range channels, panels, lines;
  };
  struct RowTile {
    std::int64_t ky, kx, first;  // kernel position, channel, or channel from there on
    std::int64_t rows;
  };

  void choose_blocks();
  Task task_at(std::int64_t index) const;
  void run_task(std::int64_t index, std::int64_t group, float* scratch, float* sums,
                float* grad_weight) const;
  AskAhead ask_ahead(const Task& next, Range strip, std::int64_t group, std::int64_t calls,
                     std::int64_t depth) const;
  void pack(Range strip, std::int64_t group, Range columns, float* panels) const;
  void copy_strip(Range strip, float* to) const;
  void find_runs(const RowTile& tile, Range strip, Run* runs) const;
  void gather(const RowTile& tile, Range strip, std::int64_t group, float* to) const;

  std::int64_t taps() const { return p.kernel_h * p.kernel_w; }
  // Tiles go channels first: those of one stretch of x after the other.
  std::int64_t stretches() const { return joined ? p.kernel_h : taps(); }
  std::int64_t n_parts(std::int64_t of_channels) const {
    return ceil_div(joined ? p.kernel_w * of_channels : of_channels, kernels.mr);
  }
  std::int64_t n_tiles(std::int64_t of_channels) const {
    return stretches() * n_parts(of_channels);
  }
  RowTile tile_at(Range of_channels, std::int64_t index) const {
    const std::int64_t stretch = index % stretches();
    const Range r = split(joined ? p.kernel_w * channels : of_channels.size(),
                          n_parts(of_channels.size()), index / stretches());
    return {joined ? stretch : stretch / p.kernel_w, joined ? 0 : stretch % p.kernel_w,
            of_channels.begin + r.begin, r.size()};
  }
  std::int64_t tasks() const { return channel_blocks * panel_blocks * chunks; }
  Range columns_of(const Task& task) const {
    return {task.panels.begin * kernels.nr, std::min(task.panels.end * kernels.nr, outputs)};
  }
  std::int64_t n_strips(const Task& task) const { return ceil_div(task.lines.size(), strip_lines); }
  Range strip_at(const Task& task, std::int64_t s) const {
    const Range strip = split(task.lines.size(), n_strips(task), s);
    return {task.lines.begin + strip.begin, task.lines.begin + strip.end};
  }
  std::int64_t n_panels() const { return ceil_div(outputs, kernels.nr); }
  std::int64_t pixels() const { return strip_lines * out.w; }
  std::int64_t panel_floats() const {
    return pixels() * std::min(kBlockPanels, n_panels()) * kernels.nr;
  }
  std::int64_t gathered_floats() const { return round_up(pixels() * kernels.lanes, 16); }
  std::int64_t copy_floats() const {
    return round_up(copied ? strip_lines * p.kernel_h * strip_w * channels : 0, 16);
  }
  std::int64_t most_channels() const {
    return std::min(channels, round_up(ceil_div(channels, channel_blocks), kBlockChannels));
  }
  std::int64_t most_columns() const { return ceil_div(n_panels(), panel_blocks) * kernels.nr; }
  std::int64_t scratch_floats() const {
    return panel_floats() + gathered_floats() + copy_floats() +
           SumBlock::own_floats(chunks > 1 ? 0 : taps() * most_channels(), most_columns());
  }

  const Conv2dParams& p;
  PictureSize in, out;
  std::int64_t lines;
  const float* grad_out;
  const float* x;
  const TileKernels& kernels;
  std::int64_t channels, outputs, rows, ld;
  bool joined, copied;
  std::int64_t strip_w, strip_lines;
  std::int64_t channel_blocks, panel_blocks, chunks;
  int threads;
};

// The blocks that take the thread with most of them the least time: what a block gathers and packs
// counts once a tile and once a panel.
void WeightGradient::choose_blocks() {
  constexpr std::int64_t kGather = 16, kPack = 12;  // cycles a pixel
  const std::int64_t most_blocks = joined ? 1 : ceil_div(channels, kBlockChannels);
  const auto most_sums = static_cast<std::int64_t>(l2_cache_bytes() / sizeof(float) / 3);
  double best = 0;
  for (std::int64_t j = ceil_div(n_panels(), kBlockPanels); j <= n_panels(); ++j) {
    for (std::int64_t i = 1; i <= most_blocks; ++i) {
      const std::int64_t size = std::min(channels, ceil_div(most_blocks, i) * kBlockChannels);
      const std::int64_t t = n_tiles(joined ? channels : size), n = ceil_div(n_panels(), j);
      const bool last = i == most_blocks && j == n_panels();
      if (taps() * size * n * kernels.nr > most_sums && !(last && best == 0)) continue;
      const std::int64_t most = ceil_div(i * j * chunks, threads);
      const auto cycles =
          static_cast<double>(most * (t * n * kernels.mr + t * kGather + n * kPack));
      if (best == 0 || cycles < best) best = cycles, channel_blocks = i, panel_blocks = j;
      if (most > 8) break;  // smaller blocks only cost more
    }
  }
}

WeightGradient::Task WeightGradient::task_at(std::int64_t index) const {
  const std::int64_t block = index / chunks;
  const Range units =
      split(ceil_div(channels, kBlockChannels), channel_blocks, block / panel_blocks);
  return {{units.begin * kBlockChannels, std::min(units.end * kBlockChannels, channels)},
          split(n_panels(), panel_blocks, block % panel_blocks),
          split(lines, chunks, index % chunks)};
}

// grad_out of the strip in panels, some lines of all panels at a time: memory is read as it lies.
void WeightGradient::pack(Range strip, std::int64_t group, Range columns, float* panels) const {
  const std::int64_t count = strip.size() * out.w;
  const float* grad =
      grad_out + strip.begin * out.w * p.out_channels + group * outputs + columns.begin;
  for (std::int64_t k = 0; k < count; k += kPackedPixels) {
    for (std::int64_t n = 0; n < columns.size(); n += kernels.nr) {
      const std::int64_t rest = columns.size() - n;
      kernels.pack(grad + k * p.out_channels + n, p.out_channels, 1,
                   std::min(kPackedPixels, count - k), std::min<std::int64_t>(kernels.nr, rest),
                   panels + n * count + k * (rest > kernels.lanes ? kernels.nr : kernels.lanes));
    }
  }
}

// The lines of x that each output line of the strip reads, one group after another, with zeros
// around.
void WeightGradient::copy_strip(Range strip, float* to) const {
  const auto bytes = [](std::int64_t floats) {
    return static_cast<std::size_t>(floats) * sizeof(float);
  };
  for (std::int64_t line = strip.begin; line < strip.end; ++line) {
    const std::int64_t image = line / out.h, y = line % out.h * p.stride_h - p.pad_top;
    for (std::int64_t ky = 0; ky < p.kernel_h; ++ky, to += strip_w * channels) {
      const std::int64_t in_y = y + ky * p.dilation_h;
      if (in_y < 0 || in_y >= in.h) {
        std::memset(to, 0, bytes(strip_w * channels));
        continue;
      }
      float* pixel = to + p.pad_left * channels;
      std::memset(to, 0, bytes(p.pad_left * channels));
      std::memcpy(pixel, x + (image * in.h + in_y) * in.w * channels, bytes(in.w * channels));
      std::memset(pixel + in.w * channels, 0, bytes(p.pad_right * channels));
    }
  }
}

// Where a joined tile reads for each line of the strip: in its copy, or in x itself.
void WeightGradient::find_runs(const RowTile& tile, Range strip, Run* runs) const {
  for (std::int64_t line = strip.begin; line < strip.end; ++line) {
    const std::int64_t in_line =
        copied ? (line - strip.begin) * p.kernel_h + tile.ky
               : line / out.h * in.h + line % out.h * p.stride_h + tile.ky * p.dilation_h;
    *runs++ = {in_line * strip_w * channels + tile.first, out.w};
  }
}

// What a tile reads for each output pixel of the strip, `lanes` floats a pixel.
void WeightGradient::gather(const RowTile& tile, Range strip, std::int64_t group, float* to) const {
  const std::int64_t lanes = kernels.lanes;
  const auto zeros = [&](std::int64_t count) {
    std::memset(to, 0, static_cast<std::size_t>(count * lanes) * sizeof(float));
    to += count * lanes;
  };
  const auto read = [&](const float* from, std::int64_t count, std::int64_t step) {
    kernels.gather(from, count, step, tile.rows, to);
    to += count * lanes;
  };
  // Output pixels whose tap lies inside.
  const std::int64_t tap_x = tile.kx * p.dilation_w - p.pad_left;
  const std::int64_t begin =
      std::clamp<std::int64_t>(ceil_div(std::max<std::int64_t>(0, -tap_x), p.stride_w), 0, out.w);
  const std::int64_t end = std::clamp<std::int64_t>(
      ceil_div(std::max<std::int64_t>(0, in.w - tap_x), p.stride_w), begin, out.w);
  for (std::int64_t line = strip.begin; line < strip.end; ++line) {
    const std::int64_t in_y = line % out.h * p.stride_h - p.pad_top + tile.ky * p.dilation_h;
    if (in_y < 0 || in_y >= in.h) {
      zeros(out.w);
      continue;
    }
    const float* from = x + ((line / out.h * in.h + in_y) * in.w + tap_x) * p.in_channels +
                        group * channels + tile.first;
    zeros(begin);
    read(from + begin * p.stride_w * p.in_channels, end - begin, p.stride_w * p.in_channels);
    zeros(out.w - end);
  }
}

// Of the next strip: grad_out, and the lines of x where all of their pixels are read.
AskAhead WeightGradient::ask_ahead(const Task& next, Range strip, std::int64_t group,
                                   std::int64_t calls, std::int64_t depth) const {
  const auto in_line = [&](std::int64_t line) {
    return std::max<std::int64_t>(0, line / out.h * in.h + line % out.h * p.stride_h - p.pad_top);
  };
  const bool all = p.kernel_h >= p.stride_h && p.kernel_w >= p.stride_w;
  const std::int64_t first = in_line(strip.begin) * in.w, pixel = strip.begin * out.w;
  const std::int64_t count = (in_line(strip.end - 1) + p.kernel_h) * in.w - first;
  const Range columns = columns_of(next);
  return {{x + first * p.in_channels + group * channels + next.channels.begin, p.in_channels,
           next.channels.size(), all ? count : 0},
          {grad_out + pixel * p.out_channels + group * outputs + columns.begin, p.out_channels,
           columns.size(), strip.size() * out.w},
          calls,
          depth};
}

void WeightGradient::run_task(std::int64_t index, std::int64_t group, float* scratch, float* sums,
                              float* grad_weight) const {
  const Task task = task_at(index), next_task = task_at(std::min(index + 1, tasks() - 1));
  float* panels = scratch;
  float* gathered = panels + panel_floats();
  float* copy = gathered + gathered_floats();
  const Range columns = columns_of(task);
  const SumBlock block = {task.channels, columns, channels, taps()};
  const SumBlock::Rows to =
      sums != nullptr ? block.among(sums, ld) : block.own(copy + copy_floats());

  const std::int64_t strips = n_strips(task), tiles = n_tiles(task.channels.size());
  for (std::int64_t s = 0; s < strips; ++s) {
    const bool last = s + 1 == strips;
    const Range strip = strip_at(task, s);
    const Range next = last ? strip_at(next_task, 0) : strip_at(task, s + 1);
    const std::int64_t count = strip.size() * out.w;
    const AskAhead ahead =
        ask_ahead(last ? next_task : task, next, group, tiles * task.panels.size(), count);
    pack(strip, group, columns, panels);
    if (copied) copy_strip(strip, copy);

    Run runs[kStripPixels] = {{0, count}};  // gathered, or of each line
    TileJob job = {};
    job.n_tiles = 1;
    job.runs = runs;
    job.n_runs = joined ? strip.size() : 1;
    job.a = !joined ? gathered : copied ? copy : x;
    job.a_step = joined ? p.stride_w * channels : kernels.lanes;
    job.b = panels;
    job.panel_stride = count * kernels.nr;
    job.k_length = count;
    job.n_end = columns.size();
    job.c = to.data;
    job.c_row = to.ld;
    job.alpha = 1.0f;
    job.beta = s == 0 ? 0.0f : 1.0f;
    for (std::int64_t i = 0; i < tiles; ++i) {
      const RowTile t = tile_at(task.channels, i);
      if (joined) {
        find_runs(t, strip, runs);
      } else {
        gather(t, strip, group, gathered);
      }
      const std::int64_t second = (t.rows + 1) / 2;
      const std::int64_t row =
          (t.ky * p.kernel_w + t.kx) * to.tap_rows + t.first - task.channels.begin;
      const Tile tile = {{0, second}, {row * to.ld, (row + second) * to.ld}, t.rows};
      job.tiles = &tile;
      job.fetch = ahead.share(i * task.panels.size(), task.panels.size());
      kernels.by_column(job);
    }
  }
  if (sums == nullptr) block.write(to, grad_weight);
}

void WeightGradient::run(float* grad_weight) const {
  if (lines == 0) {
    std::fill_n(grad_weight, p.out_channels * rows, 0.0f);
    return;
  }
  const int members = static_cast<int>(std::min<std::int64_t>(threads, tasks()));
  sum_in_chunks(p, {tasks(), chunks, scratch_floats(), ld, members}, grad_weight,
                [&](std::int64_t i, std::int64_t group, float* scratch, float* sums, float* to) {
                  run_task(i, group, scratch, sums, to);
                });
}

}  // namespace

namespace {

void depthwise_backward_weight(const Conv2dParams& p, std::int64_t batch, PictureSize in,
                               const float* grad_out, const float* x, float* grad_weight) {
  const PictureSize size = conv2d_output_size(p, batch, in);
  const std::int64_t taps = p.kernel_h * p.kernel_w;
  Scratch memory(p.out_channels * taps);
  const DepthwiseJob job = {p, batch, in, size, nullptr, p.in_channels, p.out_channels};
  const DepthwiseKernels& kernels = depthwise_kernels();
  const std::int64_t block = tile_kernels().lanes;
  parallel_for(ceil_div(p.in_channels, block), 1, [&](std::int64_t begin, std::int64_t end) {
    kernels.backward_weight(job, grad_out, x, begin * block, std::min(end * block, p.in_channels),
                            memory.data());
  });
  transpose_small(memory.data(), taps, p.out_channels, grad_weight);
}

}  // namespace

void conv2d_backward_weight(const Conv2dParams& p, std::int64_t batch, PictureSize in,
                            const float* grad_out, const float* x, float* grad_weight,
                            ConvAlgorithm algorithm) {
  conv2d_output_size(p, batch, in);
  check_backward(algorithm);
  if (is_depthwise(p)) {
    depthwise_backward_weight(p, batch, in, grad_out, x, grad_weight);
  } else if (algorithm != ConvAlgorithm::direct && plane_pays(p)) {
    plane_backward_weight(p, batch, in, grad_out, x, grad_weight);
  } else if (algorithm != ConvAlgorithm::direct && winograd_gradient_pays(p, batch, in)) {
    winograd_backward_weight(p, batch, in, grad_out, x, grad_weight);
  } else {
    WeightGradient(p, batch, in, grad_out, x).run(grad_weight);
  }
}

void column_sums(const float* x, std::int64_t rows, std::int64_t columns, float* sums) {
  // Few columns: rows are added in groups, each group as one row.
  constexpr std::int64_t kGroup = 16;
  if (columns < kGroup && rows >= 8 * kGroup) {
    Scratch groups(kGroup * columns + columns);
    const std::int64_t whole = rows / kGroup * kGroup;
    column_sums(x, rows / kGroup, kGroup * columns, groups.data());
    float* rest = groups.data() + kGroup * columns;
    tile_kernels().column_sums(x + whole * columns, columns, rows - whole, columns, rest);
    tile_kernels().column_sums(groups.data(), columns, kGroup + 1, columns, sums);
    return;
  }
  // Chunks depend on the shape alone.
  const std::int64_t chunks = std::clamp<std::int64_t>(rows / 128, 1, 64);
  const TileKernels& kernels = tile_kernels();
  Scratch partial(chunks * columns);
  const std::int64_t grain = ceil_div(16384 * chunks, rows * columns + 1);
  parallel_for(chunks, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Range range = split(rows, chunks, i);
      kernels.column_sums(x + range.begin * columns, columns, range.size(), columns,
                          partial.data() + i * columns);
    }
  });
  kernels.column_sums(partial.data(), columns, chunks, columns, sums);
}

}  // namespace fastconv
