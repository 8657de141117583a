// Every loop runs along rows, as memory does; sums down the columns stay in the level-1 cache, in
// the arrays that they are returned in.
#include "norm/batch_norm.hpp"

#include "norm/vectors.hpp"
#include "simd/activation.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

// body(offset, column, lanes) for each vector of `length` floats that start with a row.
template <class Body>
FASTCONV_INLINE void for_each_in_rows(std::int64_t length, std::int64_t columns, const Body& body) {
  for (std::int64_t row = 0; row < length; row += columns) {
    const std::int64_t rest = length - row;
    for_each_vector(rest < columns ? rest : columns,
                    [&](std::int64_t column, auto lanes) { body(row + column, column, lanes); });
  }
}

template <Activation::Kind kind, bool adds, bool streams>
void normalise_as(const NormaliseJob& job, const AffineColumns& p) {
  const float a = job.activation.a, b = job.activation.b;
  for_each_in_rows(job.length, job.columns, [&](std::int64_t i, std::int64_t c, auto lanes) {
    const vf centred = lanes.load_at(job.x + i) - lanes.load_at(p.mean + c);
    vf result = fma(centred, lanes.load_at(p.scale + c), lanes.load_at(p.shift + c));
    if (adds) result = result + lanes.load_at(job.residual + i);
    result = activate_as<kind>(result, a, b);
    streams ? lanes.stream_at(job.y + i, result) : lanes.store_at(job.y + i, result);
  });
}

template <Activation::Kind kind>
void normalise_as(const NormaliseJob& job, const AffineColumns& p) {
  const bool adds = job.residual != nullptr;
  // Past the caches where every vector of a row starts on a boundary of its own.
  const bool whole =
      job.columns % W == 0 && reinterpret_cast<std::uintptr_t>(job.y) % sizeof(vf) == 0;
  if (!job.stream || !whole) {
    return adds ? normalise_as<kind, true, false>(job, p)
                : normalise_as<kind, false, false>(job, p);
  }
  adds ? normalise_as<kind, true, true>(job, p) : normalise_as<kind, false, true>(job, p);
  stream_end();
}

void normalise(const NormaliseJob& job, const AffineColumns& p) {
  switch (job.activation.kind) {
    case Activation::none:
      return normalise_as<Activation::none>(job, p);
    case Activation::relu:
      return normalise_as<Activation::relu>(job, p);
    case Activation::leaky_relu:
      return normalise_as<Activation::leaky_relu>(job, p);
    case Activation::clip:
      return normalise_as<Activation::clip>(job, p);
  }
}

// The gradient before a ReLU, if there is one, of x - mean.
template <Relu relu, class Lanes>
FASTCONV_INLINE vf before_relu(const Lanes& lanes, const float* grad_y, const float* y, vf centred,
                               const AffineColumns& p, std::int64_t c) {
  const vf g = lanes.load_at(grad_y);
  if (relu == Relu::none) return g;
  const vf result = relu == Relu::by_output
                        ? lanes.load_at(y)
                        : fma(centred, lanes.load_at(p.scale + c), lanes.load_at(p.shift + c));
  return result > zero() ? g : zero();
}

template <Relu relu>
void gradient_as(const float* grad_y, const float* y, const float* x, std::int64_t length,
                 std::int64_t columns, const AffineColumns& p, const GradientColumns& gradients,
                 float* grad_x) {
  for_each_in_rows(length, columns, [&](std::int64_t i, std::int64_t c, auto lanes) {
    const vf centred = lanes.load_at(x + i) - lanes.load_at(p.mean + c);
    const vf g = before_relu<relu>(lanes, grad_y + i, y + i, centred, p, c);
    const vf direct = g - lanes.load_at(gradients.grad_mean + c);
    const vf total = direct - centred * lanes.load_at(gradients.slope + c);
    lanes.store_at(grad_x + i, total * lanes.load_at(p.scale + c));
  });
}

void gradient(Relu relu, const float* grad_y, const float* y, const float* x, std::int64_t length,
              std::int64_t columns, const AffineColumns& p, const GradientColumns& gradients,
              float* grad_x) {
  const auto run = relu == Relu::none        ? gradient_as<Relu::none>
                   : relu == Relu::by_output ? gradient_as<Relu::by_output>
                                             : gradient_as<Relu::again>;
  run(grad_y, y == nullptr ? grad_y : y, x, length, columns, p, gradients, grad_x);
}

void clear(float* p, std::int64_t length) {
  for (std::int64_t i = 0; i < length; ++i) p[i] = 0;
}

template <int N>
struct Step {
  static constexpr int rows = N;
};

// down(row, step) for all rows, so many at a time that loads and stores of sums do not count.
template <class Down>
FASTCONV_INLINE void for_each_step(std::int64_t rows, const Down& down) {
  std::int64_t row = 0;
  for (; row + 4 <= rows; row += 4) down(row, Step<4>{});
  for (; row < rows; ++row) down(row, Step<1>{});
}

void moments(const float* x, std::int64_t rows, std::int64_t columns, float* m, float* sum,
             float* squares) {
  clear(m, columns);
  clear(sum, columns);
  clear(squares, columns);
  for_each_step(rows, [&](std::int64_t row, auto step) {
    for_each_vector(columns, [&](std::int64_t c, auto lanes) {
      vf total = lanes.load_at(m + c);
#pragma GCC unroll 4
      for (int r = 0; r < step.rows; ++r)
        total = total + lanes.load_at(x + (row + r) * columns + c);
      lanes.store_at(m + c, total);
    });
  });
  const vf share = set1(1.0f / static_cast<float>(rows));
  for_each_vector(columns, [&](std::int64_t c, auto lanes) {
    lanes.store_at(m + c, lanes.load_at(m + c) * share);
  });
  for_each_step(rows, [&](std::int64_t row, auto step) {
    for_each_vector(columns, [&](std::int64_t c, auto lanes) {
      const vf mean = lanes.load_at(m + c);
      vf total = lanes.load_at(sum + c), total_squares = lanes.load_at(squares + c);
#pragma GCC unroll 4
      for (int r = 0; r < step.rows; ++r) {
        const vf centred = lanes.load_at(x + (row + r) * columns + c) - mean;
        total = total + centred;
        total_squares = fma(centred, centred, total_squares);
      }
      lanes.store_at(sum + c, total);
      lanes.store_at(squares + c, total_squares);
    });
  });
}

template <Relu relu, bool writes>
void gradient_sums_as(const float* grad_y, const float* y, const float* x, std::int64_t rows,
                      std::int64_t columns, const AffineColumns& p, float* sum, float* products,
                      float* masked) {
  clear(sum, columns);
  clear(products, columns);
  for_each_step(rows, [&](std::int64_t row, auto step) {
    for_each_vector(columns, [&](std::int64_t c, auto lanes) {
      const vf m = lanes.load_at(p.mean + c);
      vf total = lanes.load_at(sum + c), total_products = lanes.load_at(products + c);
#pragma GCC unroll 4
      for (int r = 0; r < step.rows; ++r) {
        const std::int64_t i = (row + r) * columns + c;
        const vf centred = lanes.load_at(x + i) - m;
        const vf g = before_relu<relu>(lanes, grad_y + i, y + i, centred, p, c);
        if (writes) lanes.store_at(masked + i, g);
        total = total + g;
        total_products = fma(g, centred, total_products);
      }
      lanes.store_at(sum + c, total);
      lanes.store_at(products + c, total_products);
    });
  });
}

void gradient_sums(Relu relu, const float* grad_y, const float* y, const float* x,
                   std::int64_t rows, std::int64_t columns, const AffineColumns& p, float* sum,
                   float* products, float* masked) {
  const auto run = relu == Relu::none    ? gradient_sums_as<Relu::none, false>
                   : relu == Relu::again ? gradient_sums_as<Relu::again, false>
                   : masked == nullptr   ? gradient_sums_as<Relu::by_output, false>
                                         : gradient_sums_as<Relu::by_output, true>;
  run(grad_y, y == nullptr ? grad_y : y, x, rows, columns, p, sum, products, masked);
}

}  // namespace

extern const BatchNormKernels batch_norm_kernels_table;
const BatchNormKernels batch_norm_kernels_table = {normalise, gradient, moments, gradient_sums};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
