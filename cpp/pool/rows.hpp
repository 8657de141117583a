// Kernels that compute one row of outputs of one picture, for one block of channels.
//
// Steps are in floats; pointers are to the picture's first element of the block.
#pragma once

#include <cstdint>

#include "core/dispatch.hpp"

namespace fastconv {

// Positions [begin, end) of an axis.
struct Span {
  std::int64_t begin, end;
};

// y(o) = max or sum over the input rows of x(row, columns[o]).
struct PoolRow {
  const float* x;
  std::int64_t x_row, x_pixel, channels;
  Span rows;                           // of the input
  const Span* columns;                 // of the input, for each output
  std::int64_t row_step, column_step;  // positions of a span are that far apart
  std::int64_t outputs;
  float* y;
  std::int64_t y_pixel;
  float row_count;  // means are divided by row_count * column_counts[o]
  const float* column_counts;
  // Columns of `channels` floats, at least the widest span; room for a line more. max_with_indices
  // has as many integers.
  float* scratch;
  std::int32_t* lines;
  std::int64_t scratch_columns;
};

// grad_x(i) = sum over the outputs in (rows, columns[i]) of
//             grad_y(row, column) / (row_counts[row] * column_counts[column])
struct PoolGradientRow {
  const float* grad_y;
  std::int64_t y_row, y_pixel, channels;
  Span rows;
  const Span* columns;
  const float* row_counts;
  const float* column_counts;
  std::int64_t inputs;
  float* grad_x;
  std::int64_t x_pixel;
};

// The same of maxima, where an output's gradient goes to the input that its index names:
// grad_x(i) = sum of grad_y(row, column) whose index is first_index + i.
struct MaxGradientRow {
  const float* grad_y;
  const std::int32_t* indices;  // laid out as grad_y
  std::int64_t y_row, channels;
  Span rows;
  const Span* columns;
  std::int64_t inputs, first_index;
  float* grad_x;
};

// The same of a line of few channels where each input is in one window: lane l of vector v is of
// column columns[v * W + l], or of none, -1, and its window's float is starts[v] + lanes[v * W + l]
// of the line.
struct SpreadRow {
  const float* grad_y;
  const std::int32_t* indices;
  std::int64_t y_floats, x_floats;
  const std::int64_t* starts;
  const std::int32_t* lanes;
  const std::int32_t* columns;
  std::int64_t first_index;
  float* grad_x;
};

struct PoolKernels {
  int lanes;
  void (*max)(const PoolRow& row);
  // Also writes where: h * width + w, laid out as y but dense in its own `pixel`.
  void (*max_with_indices)(const PoolRow& row, std::int64_t width, std::int32_t* indices,
                           std::int64_t pixel);
  // Returns how many gradients it added.
  std::int64_t (*max_backward)(const MaxGradientRow& row);
  std::int64_t (*max_backward_spread)(const SpreadRow& row);
  void (*mean)(const PoolRow& row);
  void (*mean_backward)(const PoolGradientRow& row);
};

FASTCONV_DECLARE_KERNELS(PoolKernels, pool_kernels)

}  // namespace fastconv
