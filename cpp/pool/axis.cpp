#include "pool/axis.hpp"

#include <algorithm>
#include <string>

#include "core/error.hpp"
#include "core/threads.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kLargest = std::int64_t{1} << 31;  // products of two sizes fit 63 bits

// A window along one axis.
struct AxisWindow {
  std::int64_t kernel, stride, before, after, dilation;
  std::int64_t extent() const { return dilation * (kernel - 1) + 1; }
};

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

void check_sizes(const char* operation, const char* name, std::int64_t h, std::int64_t w) {
  if (h < 1 || w < 1) {
    fail(operation, std::string(name) + " must be at least 1", {{"h", h}, {"w", w}});
  }
  if (h >= kLargest || w >= kLargest) {
    fail(operation, std::string(name) + " must be below 2**31", {{"h", h}, {"w", w}});
  }
}

void check_window(const char* operation, const PoolWindow& w) {
  check_sizes(operation, "kernel_size", w.kernel_h, w.kernel_w);
  check_sizes(operation, "stride", w.stride_h, w.stride_w);
  check_sizes(operation, "dilation", w.dilation_h, w.dilation_w);
  if (std::min({w.pad_top, w.pad_bottom, w.pad_left, w.pad_right}) < 0) {
    fail(operation, "padding must not be negative",
         {{"top", w.pad_top},
          {"bottom", w.pad_bottom},
          {"left", w.pad_left},
          {"right", w.pad_right}});
  }
  if (std::max(w.pad_top, w.pad_bottom) > w.kernel_h / 2 ||
      std::max(w.pad_left, w.pad_right) > w.kernel_w / 2) {
    fail(operation, "padding must be at most half the kernel",
         {{"top", w.pad_top},
          {"bottom", w.pad_bottom},
          {"left", w.pad_left},
          {"right", w.pad_right},
          {"kernel_h", w.kernel_h},
          {"kernel_w", w.kernel_w}});
  }
}

std::int64_t output_length(std::int64_t length, const AxisWindow& w, PoolRounding rounding,
                           bool padded) {
  const std::int64_t room = length + w.before + w.after - w.extent();
  if (rounding == PoolRounding::down) return floor_div(room, w.stride) + 1;
  const std::int64_t count = -floor_div(-room, w.stride) + 1;
  const bool drops = rounding == PoolRounding::up || padded;
  return drops && (count - 1) * w.stride >= length + w.before ? count - 1 : count;
}

void append(PoolAxis& axis, Span span, std::int64_t count) {
  axis.inputs.push_back(span);
  axis.counts.push_back(static_cast<float>(count));
  axis.widest = std::max(axis.widest, span.end - span.begin);
}

PoolAxis window_axis(std::int64_t length, std::int64_t outputs, const AxisWindow& w,
                     bool count_include_pad) {
  PoolAxis axis;
  axis.step = w.dilation;
  for (std::int64_t o = 0; o < outputs; ++o) {
    const std::int64_t start = o * w.stride - w.before;
    const std::int64_t first = start < 0 ? ceil_div(-start, w.dilation) : 0;
    const std::int64_t taps =
        std::min(w.kernel, ceil_div(std::max<std::int64_t>(length - start, 0), w.dilation));
    const Span span = {start + first * w.dilation, start + (taps - 1) * w.dilation + 1};
    append(
        axis, span,
        count_include_pad ? std::min(w.kernel, length + w.after - start) : span.end - span.begin);
  }
  return axis;
}

bool every_output_reads(const PoolAxis& axis) {
  return std::all_of(axis.inputs.begin(), axis.inputs.end(),
                     [](const Span& span) { return span.begin < span.end; });
}

PoolAxis adaptive_axis(std::int64_t length, std::int64_t outputs) {
  PoolAxis axis;
  for (std::int64_t o = 0; o < outputs; ++o) {
    const Span span = {o * length / outputs, ceil_div((o + 1) * length, outputs)};
    append(axis, span, span.end - span.begin);
  }
  return axis;
}

}  // namespace

PoolAxes window_axes(const char* operation, PoolSize input, const PoolWindow& w) {
  check_window(operation, w);
  check_sizes(operation, "the size of the input", input.h, input.w);
  const AxisWindow h_window = {w.kernel_h, w.stride_h, w.pad_top, w.pad_bottom, w.dilation_h};
  const AxisWindow w_window = {w.kernel_w, w.stride_w, w.pad_left, w.pad_right, w.dilation_w};
  const bool padded = w.pad_top + w.pad_bottom + w.pad_left + w.pad_right > 0;
  const PoolSize output = {output_length(input.h, h_window, w.rounding, padded),
                           output_length(input.w, w_window, w.rounding, padded)};
  if (output.h < 1 || output.w < 1) {
    fail(operation, "the kernel must fit in the padded input",
         {{"h", input.h}, {"w", input.w}, {"kernel_h", w.kernel_h}, {"kernel_w", w.kernel_w}});
  }
  PoolAxes axes = {window_axis(input.h, output.h, h_window, w.count_include_pad),
                   window_axis(input.w, output.w, w_window, w.count_include_pad)};
  if (!every_output_reads(axes.h) || !every_output_reads(axes.w)) {
    fail(operation, "every window must hold an element of the input",
         {{"h", input.h},
          {"w", input.w},
          {"kernel_h", w.kernel_h},
          {"kernel_w", w.kernel_w},
          {"stride_h", w.stride_h},
          {"stride_w", w.stride_w}});
  }
  return axes;
}

PoolSize pool_output_size(const char* operation, PoolSize input, const PoolWindow& window) {
  const PoolAxes axes = window_axes(operation, input, window);
  return {axes.h.size(), axes.w.size()};
}

PoolAxes adaptive_axes(const char* operation, PoolSize input, PoolSize output) {
  check_sizes(operation, "the size of the input", input.h, input.w);
  check_sizes(operation, "output_size", output.h, output.w);
  return {adaptive_axis(input.h, output.h), adaptive_axis(input.w, output.w)};
}

std::vector<Span> readers(const PoolAxis& axis, std::int64_t length) {
  // Spans begin and end in ascending order, so the readers of an input are neighbours.
  std::vector<Span> result(static_cast<std::size_t>(length));
  auto begin = axis.inputs.begin(), end = begin;
  for (std::int64_t i = 0; i < length; ++i) {
    while (begin != axis.inputs.end() && begin->end <= i) ++begin;
    if (end < begin) end = begin;
    while (end != axis.inputs.end() && end->begin <= i) ++end;
    result[static_cast<std::size_t>(i)] = {begin - axis.inputs.begin(), end - axis.inputs.begin()};
  }
  return result;
}

}  // namespace fastconv
