#include "fastconv/loss.hpp"

#include <algorithm>
#include <string>

#include "core/error.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"
#include "loss/softmax.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kGrain = 4096;   // floats, with an exponential each, worth a thread
constexpr std::int64_t kColumns = 256;  // that a thread takes together: 1 KiB of each row

// Runs rows(count, offset) or columns(count, offset) over pieces of the memory.
template <class Rows, class Columns>
void run(const char* operation, const SoftmaxShape& s, const Rows& rows, const Columns& columns) {
  if (s.outer < 0 || s.classes < 0 || s.inner < 0) {
    fail(operation, "sizes must not be negative",
         {{"outer", s.outer}, {"classes", s.classes}, {"inner", s.inner}});
  }
  if (s.outer * s.classes * s.inner == 0) return;
  if (s.inner == 1) {
    parallel_for(s.outer, kGrain / s.classes, [&](std::int64_t begin, std::int64_t end) {
      rows(end - begin, begin * s.classes);
    });
    return;
  }
  const std::int64_t blocks = ceil_div(s.inner, kColumns);
  const std::int64_t task_floats = s.classes * std::min(s.inner, kColumns);
  parallel_for(s.outer * blocks, kGrain / task_floats, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t first = i % blocks * kColumns;
      columns(std::min(kColumns, s.inner - first), i / blocks * s.classes * s.inner + first);
    }
  });
}

// Checks sizes, smoothing and targets; returns the number of rows that count.
std::int64_t counted_rows(const char* operation, const CrossEntropy& p,
                          const std::int64_t* target) {
  if (p.rows < 0 || p.classes < 0) {
    fail(operation, "sizes must not be negative", {{"rows", p.rows}, {"classes", p.classes}});
  }
  if (!(p.label_smoothing >= 0 && p.label_smoothing <= 1)) {
    throw Error(std::string(operation) + ": label_smoothing must lie in [0, 1] (label_smoothing=" +
                std::to_string(p.label_smoothing) + ")");
  }
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < p.rows; ++i) {
    if (target[i] == p.ignore_index) continue;
    if (target[i] < 0 || target[i] >= p.classes) {
      fail(operation, "target must be a class or ignore_index",
           {{"target", target[i]},
            {"position", i},
            {"classes", p.classes},
            {"ignore_index", p.ignore_index}});
    }
    ++count;
  }
  return count;
}

}  // namespace

void softmax(const SoftmaxShape& s, const float* x, float* y) {
  const auto& rows = softmax_row_kernels();
  const auto& columns = softmax_column_kernels();
  run(
      "softmax", s,
      [&](std::int64_t n, std::int64_t at) { rows.softmax(n, s.classes, x + at, y + at); },
      [&](std::int64_t n, std::int64_t at) {
        columns.softmax(s.classes, n, s.inner, x + at, y + at);
      });
}

void softmax_backward(const SoftmaxShape& s, const float* grad_y, const float* y, float* grad_x) {
  const auto& rows = softmax_row_kernels();
  const auto& columns = softmax_column_kernels();
  run(
      "softmax_backward", s,
      [&](std::int64_t n, std::int64_t at) {
        rows.softmax_backward(n, s.classes, grad_y + at, y + at, grad_x + at);
      },
      [&](std::int64_t n, std::int64_t at) {
        columns.softmax_backward(s.classes, n, s.inner, grad_y + at, y + at, grad_x + at);
      });
}

void log_softmax(const SoftmaxShape& s, const float* x, float* y) {
  const auto& rows = softmax_row_kernels();
  const auto& columns = softmax_column_kernels();
  run(
      "log_softmax", s,
      [&](std::int64_t n, std::int64_t at) { rows.log_softmax(n, s.classes, x + at, y + at); },
      [&](std::int64_t n, std::int64_t at) {
        columns.log_softmax(s.classes, n, s.inner, x + at, y + at);
      });
}

void log_softmax_backward(const SoftmaxShape& s, const float* grad_y, const float* y,
                          float* grad_x) {
  const auto& rows = softmax_row_kernels();
  const auto& columns = softmax_column_kernels();
  run(
      "log_softmax_backward", s,
      [&](std::int64_t n, std::int64_t at) {
        rows.log_softmax_backward(n, s.classes, grad_y + at, y + at, grad_x + at);
      },
      [&](std::int64_t n, std::int64_t at) {
        columns.log_softmax_backward(s.classes, n, s.inner, grad_y + at, y + at, grad_x + at);
      });
}

void cross_entropy(const CrossEntropy& p, const float* logits, const std::int64_t* target,
                   float* loss) {
  const std::int64_t count = counted_rows("cross_entropy", p, target);
  const bool reduced = p.reduction != Reduction::none;
  Scratch scratch(reduced ? p.rows : 0);
  float* losses = reduced ? scratch.data() : loss;
  const float smoothing = static_cast<float>(p.label_smoothing);
  const auto kernel = softmax_row_kernels().loss;
  parallel_for(p.rows, kGrain / std::max<std::int64_t>(1, p.classes),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   losses[i] =
                       target[i] == p.ignore_index
                           ? 0.0f
                           : kernel(p.classes, smoothing, logits + i * p.classes, target[i]);
                 }
               });
  if (!reduced) return;
  double total = 0;
  for (std::int64_t i = 0; i < p.rows; ++i) total += losses[i];
  if (p.reduction == Reduction::mean) total /= static_cast<double>(count);
  loss[0] = static_cast<float>(total);
}

void cross_entropy_backward(const CrossEntropy& p, const float* grad_loss, const float* logits,
                            const std::int64_t* target, float* grad_logits) {
  const std::int64_t count = counted_rows("cross_entropy_backward", p, target);
  const float divisor = p.reduction == Reduction::mean ? static_cast<float>(count) : 1.0f;
  const std::int64_t step = p.reduction == Reduction::none ? 1 : 0;
  const float smoothing = static_cast<float>(p.label_smoothing);
  const auto kernel = softmax_row_kernels().loss_backward;
  parallel_for(p.rows, kGrain / std::max<std::int64_t>(1, p.classes),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const float* x = logits + i * p.classes;
                   float* grad = grad_logits + i * p.classes;
                   if (target[i] == p.ignore_index) {
                     std::fill(grad, grad + p.classes, 0.0f);
                   } else {
                     kernel(p.classes, smoothing, grad_loss[i * step] / divisor, x, target[i],
                            grad);
                   }
                 }
               });
}

}  // namespace fastconv
