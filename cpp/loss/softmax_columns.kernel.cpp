// Softmax down columns: each lane is a column of its own.
#include "loss/softmax.hpp"
#include "simd/lanes.hpp"
#include "simd/math.hpp"
#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

void softmax(std::int64_t classes, std::int64_t columns, std::int64_t stride, const float* x,
             float* y) {
  for_vectors(columns, [=](std::int64_t c, auto at) {
    const float* from = x + c;
    float* to = y + c;
    vf top = at(from);
    for (std::int64_t k = 1; k < classes; ++k) top = max_nan(top, at(from + k * stride));
    vf total = zero();
    for (std::int64_t k = 0; k < classes; ++k) {
      const vf e = exp(at(from + k * stride) - top);
      at(to + k * stride, e);
      total = total + e;
    }
    const vf share = set1(1.0f) / total;
    for (std::int64_t k = 0; k < classes; ++k) {
      float* p = to + k * stride;
      at(p, at(static_cast<const float*>(p)) * share);
    }
  });
}

void softmax_backward(std::int64_t classes, std::int64_t columns, std::int64_t stride,
                      const float* grad_y, const float* y, float* grad_x) {
  for_vectors(columns, [=](std::int64_t c, auto at) {
    vf dot = zero();
    for (std::int64_t k = 0; k < classes; ++k) {
      dot = fma(at(grad_y + c + k * stride), at(y + c + k * stride), dot);
    }
    for (std::int64_t k = 0; k < classes; ++k) {
      const std::int64_t i = c + k * stride;
      at(grad_x + i, at(y + i) * (at(grad_y + i) - dot));
    }
  });
}

void log_softmax(std::int64_t classes, std::int64_t columns, std::int64_t stride, const float* x,
                 float* y) {
  for_vectors(columns, [=](std::int64_t c, auto at) {
    vf top = at(x + c);
    for (std::int64_t k = 1; k < classes; ++k) top = max_nan(top, at(x + c + k * stride));
    vf total = zero();
    for (std::int64_t k = 0; k < classes; ++k) {
      total = total + exp(at(x + c + k * stride) - top);
    }
    const vf log_total = log(total);
    for (std::int64_t k = 0; k < classes; ++k) {
      const std::int64_t i = c + k * stride;
      at(y + i, (at(x + i) - top) - log_total);
    }
  });
}

void log_softmax_backward(std::int64_t classes, std::int64_t columns, std::int64_t stride,
                          const float* grad_y, const float* y, float* grad_x) {
  for_vectors(columns, [=](std::int64_t c, auto at) {
    vf total = zero();
    for (std::int64_t k = 0; k < classes; ++k) total = total + at(grad_y + c + k * stride);
    for (std::int64_t k = 0; k < classes; ++k) {
      const std::int64_t i = c + k * stride;
      at(grad_x + i, at(grad_y + i) - exp(at(y + i)) * total);
    }
  });
}

}  // namespace

extern const SoftmaxColumnKernels softmax_column_kernels_table;
const SoftmaxColumnKernels softmax_column_kernels_table = {softmax, softmax_backward, log_softmax,
                                                           log_softmax_backward};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
