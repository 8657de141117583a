#include "fastconv/pool.hpp"

#include <algorithm>
#include <atomic>
#include <limits>

#include "core/error.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"
#include "pool/axis.hpp"
#include "pool/rows.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kLine = 16;             // floats in a cache line
constexpr std::int64_t kScratchFloats = 8192;  // 32 KiB, so that it stays in the level-1 cache
constexpr std::int64_t kGrain = 16384;         // floats worth a thread

// The work of one call: rows of pictures, each cut into blocks of channels.
struct Tasks {
  std::int64_t pictures, rows, channels, block;

  std::int64_t blocks() const { return ceil_div(channels, block); }
  std::int64_t size() const { return pictures * rows * blocks(); }
};

struct Task {
  std::int64_t picture, row, channel, channels;
};

Task task_at(const Tasks& tasks, std::int64_t index) {
  const std::int64_t line = index / tasks.blocks(), block = index % tasks.blocks();
  const std::int64_t channel = block * tasks.block;
  return {line / tasks.rows, line % tasks.rows, channel,
          std::min(tasks.block, tasks.channels - channel)};
}

// f(member, task) for all tasks.
template <class F>
void for_each_task(const Tasks& tasks, int members, const F& f) {
  parallel_team(members, [&](int member) {
    const Range range = split(tasks.size(), members, member);
    for (std::int64_t i = range.begin; i < range.end; ++i) f(member, task_at(tasks, i));
  });
}

// Where each task reads about `cost` floats.
int team_size(const Tasks& tasks, std::int64_t cost) {
  const std::int64_t grain = std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, cost));
  return static_cast<int>(
      std::min<std::int64_t>(get_num_threads(), std::max<std::int64_t>(1, tasks.size() / grain)));
}

std::int64_t or_channels(std::int64_t pixel, const PoolShape& shape) {
  return pixel == 0 ? shape.c : pixel;
}

// As many channels as leave room in the scratch for a few windows side by side.
std::int64_t channel_block(const PoolAxis& columns, std::int64_t channels) {
  const std::int64_t fit = kScratchFloats / (4 * columns.widest) / kLine * kLine;
  return std::max<std::int64_t>(1, std::min(channels, std::max(fit, kLine)));
}

PoolRow row_of(const PoolShape& shape, const PoolAxes& axes, const Task& task, const float* x,
               float* y) {
  const std::int64_t x_pixel = or_channels(shape.x_pixel, shape);
  const std::int64_t y_pixel = or_channels(shape.y_pixel, shape);
  const std::size_t o = static_cast<std::size_t>(task.row);
  PoolRow row = {};
  row.x = x + task.picture * shape.h * shape.w * x_pixel + task.channel;
  row.x_row = shape.w * x_pixel;
  row.x_pixel = x_pixel;
  row.channels = task.channels;
  row.rows = axes.h.inputs[o];
  row.columns = axes.w.inputs.data();
  row.row_step = axes.h.step;
  row.column_step = axes.w.step;
  row.outputs = axes.w.size();
  row.y = y + (task.picture * axes.h.size() + task.row) * axes.w.size() * y_pixel + task.channel;
  row.y_pixel = y_pixel;
  row.row_count = axes.h.counts[o];
  row.column_counts = axes.w.counts.data();
  return row;
}

// kernel(row, task) for every row of outputs.
template <class F>
void reduce(const PoolShape& shape, const PoolAxes& axes, const F& kernel, const float* x,
            float* y) {
  const Tasks tasks = {shape.n, axes.h.size(), shape.c, channel_block(axes.w, shape.c)};
  const std::int64_t scratch_floats = std::max(kScratchFloats, axes.w.widest * tasks.block);
  const int members = team_size(tasks, axes.h.widest * shape.w * tasks.block);
  const std::int64_t my_scratch = round_up(scratch_floats, kLine) + kLine;
  Scratch scratch(2 * members * my_scratch);
  for_each_task(tasks, members, [&](int member, const Task& task) {
    PoolRow row = row_of(shape, axes, task, x, y);
    row.scratch = scratch.data() + 2 * member * my_scratch;
    row.lines = reinterpret_cast<std::int32_t*>(row.scratch + my_scratch);
    row.scratch_columns = scratch_floats / task.channels;
    kernel(row, task);
  });
}

void reduce(const PoolShape& shape, const PoolAxes& axes, void (*kernel)(const PoolRow&),
            const float* x, float* y) {
  reduce(shape, axes, [&](const PoolRow& row, const Task&) { kernel(row); }, x, y);
}

void mean_backward(const PoolShape& shape, const PoolAxes& axes, const float* grad_y,
                   float* grad_x) {
  const std::vector<Span> rows = readers(axes.h, shape.h), columns = readers(axes.w, shape.w);
  const Tasks tasks = {shape.n, shape.h, shape.c, std::max<std::int64_t>(1, shape.c)};
  const int members = team_size(tasks, shape.w * shape.c);
  const auto kernel = pool_kernels().mean_backward;
  for_each_task(tasks, members, [&](int, const Task& task) {
    PoolGradientRow row = {};
    row.grad_y = grad_y + task.picture * axes.h.size() * axes.w.size() * shape.c;
    row.y_row = axes.w.size() * shape.c;
    row.y_pixel = shape.c;
    row.channels = shape.c;
    row.rows = rows[static_cast<std::size_t>(task.row)];
    row.columns = columns.data();
    row.row_counts = axes.h.counts.data();
    row.column_counts = axes.w.counts.data();
    row.inputs = shape.w;
    row.grad_x = grad_x + (task.picture * shape.h + task.row) * shape.w * shape.c;
    row.x_pixel = shape.c;
    kernel(row);
  });
}

void check_no_dilation(const char* operation, const PoolWindow& window) {
  if (window.dilation_h != 1 || window.dilation_w != 1) {
    fail(operation, "means have no dilation",
         {{"dilation_h", window.dilation_h}, {"dilation_w", window.dilation_w}});
  }
}

}  // namespace

void max_pool2d(const PoolShape& shape, const PoolWindow& window, const float* x, float* y,
                std::int32_t* indices) {
  const PoolAxes axes = window_axes("max_pool2d", {shape.h, shape.w}, window);
  if (indices == nullptr) return reduce(shape, axes, pool_kernels().max, x, y);

  if (shape.h * shape.w > std::numeric_limits<std::int32_t>::max()) {
    fail("max_pool2d", "indices need planes of less than 2**31 elements",
         {{"h", shape.h}, {"w", shape.w}});
  }
  const auto kernel = pool_kernels().max_with_indices;
  const auto run = [&](const PoolRow& row, const Task& task) {
    const std::int64_t pixel = (task.picture * axes.h.size() + task.row) * axes.w.size();
    kernel(row, shape.w, indices + pixel * shape.c + task.channel, shape.c);
  };
  reduce(shape, axes, run, x, y);
}

namespace {

// How lines of inputs come from lines of outputs, as SpreadRow wants it; empty unless each column
// is in one window, and channels are few.
struct Spread {
  std::vector<std::int64_t> starts;
  std::vector<std::int32_t> lanes, columns;

  Spread(const std::vector<Span>& readers, std::int64_t channels) {
    const std::int64_t width = pool_kernels().lanes;
    const auto floats = static_cast<std::int64_t>(readers.size()) * channels;
    if (channels >= width) return;
    for (std::int64_t i = 0; i < round_up(floats, width); ++i) {
      // Lanes past the end are of column -1.
      const Span& windows = readers[static_cast<std::size_t>(std::min(i, floats - 1) / channels)];
      const std::int64_t from = windows.begin * channels + i % channels;
      if (i % width == 0) starts.push_back(windows.begin * channels);
      const std::int64_t lane = i < floats ? from - starts.back() : 0;
      if (windows.end - windows.begin != 1 || lane < 0 || lane >= width) {
        starts.clear();
        return;
      }
      lanes.push_back(static_cast<std::int32_t>(lane));
      columns.push_back(i < floats ? static_cast<std::int32_t>(i / channels) : -1);
    }
  }
};

// Every input looks for itself among the outputs that see it, in their order.
bool gather_maxima(const PoolShape& shape, const PoolAxes& axes, const float* grad_y,
                   const std::int32_t* indices, float* grad_x) {
  const std::vector<Span> rows = readers(axes.h, shape.h), columns = readers(axes.w, shape.w);
  const Tasks tasks = {shape.n, shape.h, shape.c, std::max<std::int64_t>(1, shape.c)};
  const std::int64_t y_row = axes.w.size() * shape.c, y_picture = axes.h.size() * y_row;
  const auto kernel = pool_kernels().max_backward;
  const auto spread_kernel = pool_kernels().max_backward_spread;
  const Spread spread(columns, shape.c);
  std::atomic<std::int64_t> added{0};
  const int members = team_size(tasks, shape.w * shape.c);
  parallel_team(members, [&](int member) {
    const Range range = split(tasks.size(), members, member);
    std::int64_t mine = 0;
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const Task task = task_at(tasks, i);
      const Span windows = rows[static_cast<std::size_t>(task.row)];
      float* line = grad_x + (task.picture * shape.h + task.row) * shape.w * shape.c;
      if (!spread.starts.empty() && windows.end - windows.begin == 1) {
        const std::int64_t first = task.picture * y_picture + windows.begin * y_row;
        mine += spread_kernel({grad_y + first, indices + first, y_row, shape.w * shape.c,
                               spread.starts.data(), spread.lanes.data(), spread.columns.data(),
                               task.row * shape.w, line});
        continue;
      }
      MaxGradientRow row = {};
      row.grad_y = grad_y + task.picture * y_picture;
      row.indices = indices + task.picture * y_picture;
      row.y_row = y_row;
      row.channels = shape.c;
      row.rows = windows;
      row.columns = columns.data();
      row.inputs = shape.w;
      row.first_index = task.row * shape.w;
      row.grad_x = line;
      mine += kernel(row);
    }
    added.fetch_add(mine, std::memory_order_relaxed);
  });
  return added == shape.n * y_picture;
}

}  // namespace

void max_pool2d_backward(const PoolShape& shape, const PoolWindow& window, const float* grad_y,
                         const std::int32_t* indices, float* grad_x) {
  const PoolAxes axes = window_axes("max_pool2d_backward", {shape.h, shape.w}, window);
  // Where windows overlap a lot, each input would ask many.
  const std::int64_t readers_of_one =
      ceil_div(window.kernel_h, window.stride_h) * ceil_div(window.kernel_w, window.stride_w);
  const bool found = window.dilation_h == 1 && window.dilation_w == 1 && readers_of_one <= 9 &&
                     gather_maxima(shape, axes, grad_y, indices, grad_x);
  // Indices may point out of their windows: what nobody looks for must not be lost.
  if (!found) {
    max_pool2d_backward(shape, PoolSize{axes.h.size(), axes.w.size()}, grad_y, indices, grad_x);
  }
}

// Adds in the order of the outputs. Where indices point differs from channel to channel, so this
// is a scalar loop, and a thread owns a block of channels of a picture.
void max_pool2d_backward(const PoolShape& shape, PoolSize output, const float* grad_y,
                         const std::int32_t* indices, float* grad_x) {
  const std::int64_t inputs = shape.h * shape.w, outputs = output.h * output.w;
  const std::int64_t block =
      shape.n >= get_num_threads() ? std::max<std::int64_t>(1, shape.c) : 4 * kLine;
  const Tasks tasks = {shape.n, 1, shape.c, block};
  std::atomic<std::int64_t> wrong{-1};  // some index outside the plane
  for_each_task(
      tasks, team_size(tasks, inputs * std::min(block, shape.c)), [&](int, const Task& task) {
        float* gx = grad_x + task.picture * inputs * shape.c + task.channel;
        for (std::int64_t i = 0; i < inputs; ++i) {
          std::fill_n(gx + i * shape.c, task.channels, 0.0f);
        }
        for (std::int64_t o = 0; o < outputs; ++o) {
          const std::int64_t start = (task.picture * outputs + o) * shape.c + task.channel;
          for (std::int64_t c = 0; c < task.channels; ++c) {
            const std::int64_t index = indices[start + c];
            if (index < 0 || index >= inputs) {
              wrong.store(start + c, std::memory_order_relaxed);
              continue;
            }
            gx[index * shape.c + c] += grad_y[start + c];
          }
        }
      });
  if (wrong >= 0) {
    fail("max_pool2d_backward", "indices must lie in the input plane",
         {{"index", indices[wrong]}, {"h", shape.h}, {"w", shape.w}});
  }
}

void avg_pool2d(const PoolShape& shape, const PoolWindow& window, const float* x, float* y) {
  check_no_dilation("avg_pool2d", window);
  reduce(shape, window_axes("avg_pool2d", {shape.h, shape.w}, window), pool_kernels().mean, x, y);
}

void avg_pool2d_backward(const PoolShape& shape, const PoolWindow& window, const float* grad_y,
                         float* grad_x) {
  check_no_dilation("avg_pool2d_backward", window);
  mean_backward(shape, window_axes("avg_pool2d_backward", {shape.h, shape.w}, window), grad_y,
                grad_x);
}

void adaptive_avg_pool2d(const PoolShape& shape, PoolSize output, const float* x, float* y) {
  reduce(shape, adaptive_axes("adaptive_avg_pool2d", {shape.h, shape.w}, output),
         pool_kernels().mean, x, y);
}

void global_avg_pool2d(const PoolShape& shape, const float* x, float* y) {
  reduce(shape, adaptive_axes("global_avg_pool2d", {shape.h, shape.w}, {1, 1}), pool_kernels().mean,
         x, y);
}

void adaptive_avg_pool2d_backward(const PoolShape& shape, PoolSize output, const float* grad_y,
                                  float* grad_x) {
  mean_backward(shape, adaptive_axes("adaptive_avg_pool2d_backward", {shape.h, shape.w}, output),
                grad_y, grad_x);
}

}  // namespace fastconv
