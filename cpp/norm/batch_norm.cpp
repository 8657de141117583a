#include "norm/batch_norm.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "fastconv/runtime.hpp"
#include "norm/columns.hpp"

namespace fastconv {
namespace {

void check(const char* operation, const NormShape& shape, float eps) {
  if (shape.rows < 0 || shape.channels < 0) {
    fail(operation, "sizes must not be negative",
         {{"rows", shape.rows}, {"channels", shape.channels}});
  }
  if (!(eps >= 0)) fail(operation, "eps must be at least 0 (eps=" + std::to_string(eps) + ")");
}

float or_one(const float* weight, std::int64_t channel) {
  return weight == nullptr ? 1.0f : weight[channel];
}
float or_zero(const float* bias, std::int64_t channel) {
  return bias == nullptr ? 0.0f : bias[channel];
}

double inverse_deviation(double var, float eps) {
  return 1 / std::sqrt(var + static_cast<double>(eps));
}

enum AffineVector { kMean, kScale, kShift, kAffineVectors };

// Applies the affine map that `parameters` holds in the order of AffineVector.
void apply(const Folded& folded, ColumnVectors& parameters, const Activation& activation,
           const float* x, const float* residual, float* y) {
  const AffineColumns columns = {parameters[kMean], parameters[kScale], parameters[kShift]};
  const auto kernel = batch_norm_kernels().normalise;
  for_each_stretch(folded, [&](std::int64_t offset, std::int64_t length) {
    // What a thread's cache does not hold would be read before it is written, for nothing.
    const bool large = static_cast<std::size_t>(length) * sizeof(float) >= l2_cache_bytes();
    kernel({x + offset, residual == nullptr ? nullptr : residual + offset, length, folded.columns,
            activation, y + offset, large && y != x && y != residual},
           columns);
  });
}

struct Moments {
  std::vector<double> mean, var;
};

// Each chunk centres its rows on a mean of its own and is read twice while it is in the cache, so
// x comes from memory once and a large mean costs no digits. Chunks are put together as Chan, Golub
// and LeVeque do (1979), in double precision.
Moments column_moments(const NormShape& shape, const Folded& folded, const float* x) {
  enum { kAbout, kSum, kSquares, kVectors };
  ChunkSums sums(folded, kVectors);
  const auto kernel = batch_norm_kernels().moments;
  sums.compute([&](const Chunk& chunk) {
    kernel(x + chunk.offset, chunk.rows, chunk.columns, chunk.vector(kAbout), chunk.vector(kSum),
           chunk.vector(kSquares));
  });

  const auto mean_of = [](const Chunk& chunk, std::int64_t column, double share) {
    const double about = chunk.vector(kAbout)[column], sum = chunk.vector(kSum)[column];
    return std::isfinite(about) ? about + sum * share : about;
  };
  const double count = static_cast<double>(shape.rows);
  Moments result;
  result.mean.resize(static_cast<std::size_t>(folded.channels));
  result.var.resize(static_cast<std::size_t>(folded.channels));
  double *mean = result.mean.data(), *var = result.var.data();
  sums.combine([&](const Chunk& chunk, std::int64_t start, Range channels) {
    const double rows = static_cast<double>(chunk.rows), share = 1 / rows, weight = rows / count;
    for (std::int64_t c = channels.begin; c < channels.end; ++c) {
      mean[c] += mean_of(chunk, start + c, share) * weight;
    }
  });
  sums.combine([&](const Chunk& chunk, std::int64_t start, Range channels) {
    const double rows = static_cast<double>(chunk.rows), share = 1 / rows, weight = 1 / count;
    const float *sum = chunk.vector(kSum) + start, *squares = chunk.vector(kSquares) + start;
    for (std::int64_t c = channels.begin; c < channels.end; ++c) {
      const double s = sum[c], off = mean_of(chunk, start + c, share) - mean[c];
      var[c] += (squares[c] - s * s * share + off * off * rows) * weight;
    }
  });
  return result;
}

}  // namespace

void batch_norm(const NormShape& shape, const float* x, const float* mean, const float* var,
                const float* weight, const float* bias, float eps, const Activation& activation,
                float* y) {
  check("batch_norm", shape, eps);
  const Folded folded(shape);
  ColumnVectors parameters(folded, kAffineVectors);
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    parameters.set(kMean, c, mean[c]);
    parameters.set(kScale, c,
                   static_cast<float>(or_one(weight, c) * inverse_deviation(var[c], eps)));
    parameters.set(kShift, c, or_zero(bias, c));
  }
  apply(folded, parameters, activation, x, nullptr, y);
}

void batch_norm_training(const NormShape& shape, const float* x, const float* weight,
                         const float* bias, float eps, const Activation& activation,
                         const float* residual, float* y, float* mean, float* var) {
  check("batch_norm_training", shape, eps);
  if (shape.rows == 0) fail("batch_norm_training", "there must be at least one row", {{"rows", 0}});
  const Folded folded(shape);
  const Moments moments = column_moments(shape, folded, x);
  ColumnVectors parameters(folded, kAffineVectors);
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    const double exact_mean = moments.mean[static_cast<std::size_t>(c)];
    const double exact_var = moments.var[static_cast<std::size_t>(c)];
    mean[c] = static_cast<float>(exact_mean);
    var[c] = static_cast<float>(exact_var);
    // Of the rounded variance, as the gradient knows it.
    const double scale = or_one(weight, c) * inverse_deviation(var[c], eps);
    parameters.set(kMean, c, mean[c]);
    parameters.set(kScale, c, static_cast<float>(scale));
    // Also makes up for what the mean lost when it was rounded.
    const double shift = or_zero(bias, c) + (static_cast<double>(mean[c]) - exact_mean) * scale;
    parameters.set(kShift, c, static_cast<float>(shift));
  }
  apply(folded, parameters, activation, x, residual, y);
}

void batch_norm_backward(const NormShape& shape, const float* grad_y, const float* x,
                         const float* mean, const float* var, const float* weight, float eps,
                         bool training, bool relu, const float* bias, const float* y, float* grad_x,
                         float* grad_weight, float* grad_bias, float* grad_residual) {
  check("batch_norm_backward", shape, eps);
  if (relu && !training) {
    fail("batch_norm_backward", "a ReLU is part of batch norm in training only");
  }
  if (y == nullptr && grad_residual != nullptr) {
    fail("batch_norm_backward",
         "a residual's gradient takes the ReLU's output; without a ReLU it is that of the sum");
  }
  Relu kind = !relu ? Relu::none : y == nullptr ? Relu::again : Relu::by_output;
  const Folded folded(shape);
  const std::size_t channels = static_cast<std::size_t>(folded.channels);
  enum { kSlope = kAffineVectors, kGradMean, kVectors };
  ColumnVectors parameters(folded, kVectors);
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    const double scale = or_one(weight, c) * inverse_deviation(var[c], eps);
    parameters.set(kMean, c, mean[c]);
    parameters.set(kScale, c, static_cast<float>(scale));
    parameters.set(kShift, c, or_zero(bias, c));
  }
  const AffineColumns affine = {parameters[kMean], parameters[kScale], parameters[kShift]};

  const auto at = [](const float* p, std::int64_t offset) { return p == nullptr ? p : p + offset; };
  enum { kSum, kProducts, kSums };
  ChunkSums sums(folded, kSums);
  const BatchNormKernels& kernels = batch_norm_kernels();
  sums.compute([&](const Chunk& chunk) {
    kernels.gradient_sums(kind, grad_y + chunk.offset, at(y, chunk.offset), x + chunk.offset,
                          chunk.rows, chunk.columns, affine, chunk.vector(kSum),
                          chunk.vector(kProducts),
                          grad_residual == nullptr ? nullptr : grad_residual + chunk.offset);
  });
  std::vector<double> sum(channels), products(channels);
  sums.combine([&](const Chunk& chunk, std::int64_t start, Range range) {
    const float *s = chunk.vector(kSum) + start, *p = chunk.vector(kProducts) + start;
    double *to_sum = sum.data(), *to_products = products.data();
    for (std::int64_t c = range.begin; c < range.end; ++c)
      to_sum[c] += s[c], to_products[c] += p[c];
  });

  if (grad_residual != nullptr) {  // which is what passes on
    grad_y = grad_residual;
    kind = Relu::none;
  }

  const double count = static_cast<double>(std::max<std::int64_t>(shape.rows, 1));
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    const double s = sum[static_cast<std::size_t>(c)], p = products[static_cast<std::size_t>(c)];
    const double inverse = inverse_deviation(var[c], eps);
    grad_weight[c] = static_cast<float>(p * inverse);
    grad_bias[c] = static_cast<float>(s);
    parameters.set(kSlope, c, static_cast<float>(p * inverse * inverse / count));
    parameters.set(kGradMean, c, static_cast<float>(s / count));
  }

  if (training) {
    const GradientColumns columns = {parameters[kSlope], parameters[kGradMean]};
    for_each_stretch(folded, [&](std::int64_t offset, std::int64_t length) {
      kernels.gradient(kind, grad_y + offset, at(y, offset), x + offset, length, folded.columns,
                       affine, columns, grad_x + offset);
    });
    return;
  }
  // grad_x = (grad_y - 0) * factor + 0; x, which may be infinite, has no say.
  std::fill_n(parameters[kMean], folded.columns, 0.0f);
  std::fill_n(parameters[kShift], folded.columns, 0.0f);
  for_each_stretch(folded, [&](std::int64_t offset, std::int64_t length) {
    kernels.normalise(
        {grad_y + offset, nullptr, length, folded.columns, {}, grad_x + offset, false}, affine);
  });
}

}  // namespace fastconv
