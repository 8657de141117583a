// Softmax, its logarithm, and the cross entropy loss.
//
// Each row's maximum is subtracted before exp, so that nothing overflows. Outputs may be the
// array of the same shape that comes before them; otherwise they must not overlap inputs.
#pragma once

#include <cstdint>

namespace fastconv {

// Memory (outer, classes, inner): the functions below sum over `classes`. Rows (n, k) are
// (n, k, 1); the channels of NHWC maps (n * h * w, c, 1), those of NCHW maps (n, c, h * w).
struct SoftmaxShape {
  std::int64_t outer, classes, inner;
};

// y = exp(x) / sum exp(x); grad_x = y * (grad_y - sum(grad_y * y)).
void softmax(const SoftmaxShape& shape, const float* x, float* y);
void softmax_backward(const SoftmaxShape& shape, const float* grad_y, const float* y,
                      float* grad_x);

// y = x - log(sum exp(x)); grad_x = grad_y - exp(y) * sum(grad_y).
void log_softmax(const SoftmaxShape& shape, const float* x, float* y);
void log_softmax_backward(const SoftmaxShape& shape, const float* grad_y, const float* y,
                          float* grad_x);

enum class Reduction { none, sum, mean };

// Logits (rows, classes) without gaps; target[rows] in [0, classes), or ignore_index for rows that
// do not count. Throws Error for any other target.
struct CrossEntropy {
  std::int64_t rows, classes;
  std::int64_t ignore_index = -100;
  Reduction reduction = Reduction::mean;
  double label_smoothing = 0;  // from 0 to 1: the share of the target spread over all classes
};

// loss[row] = log(sum exp(logits[row])) - logits[row][target[row]], 0 where ignored
// (Reduction::none, loss has `rows` values); else loss[0] is their sum, or that divided by the
// number of rows that count (NaN if none does). Sums run in row order, in double. With label
// smoothing s, (1 - s) * logits[row][target[row]] + s * mean of logits[row] is subtracted instead.
void cross_entropy(const CrossEntropy& p, const float* logits, const std::int64_t* target,
                   float* loss);

// grad_loss has as many values as the loss. grad_logits[row] is (softmax(logits[row]) - s /
// classes, minus 1 - s at the target), scaled; 0 where ignored.
void cross_entropy_backward(const CrossEntropy& p, const float* grad_loss, const float* logits,
                            const std::int64_t* target, float* grad_logits);

}  // namespace fastconv
