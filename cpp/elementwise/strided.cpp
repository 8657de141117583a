#include "fastconv/strided.hpp"

#include "core/threads.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kGrain = 16384;  // floats worth a thread

// row(a, b, out) for every line along the last axis: where it begins in operands and result.
template <class Row>
void for_rows(const std::vector<StridedAxis>& axes, const Row& row) {
  const std::int64_t length = axes.back().size;
  if (length == 0) return;
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < axes.size(); ++i) rows *= axes[i].size;
  parallel_for(rows, kGrain / length, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      std::int64_t rest = r, a = 0, b = 0;
      for (std::size_t i = axes.size() - 1; i-- > 0;) {
        const std::int64_t at = rest % axes[i].size;
        rest /= axes[i].size;
        a += at * axes[i].a;
        b += at * axes[i].b;
      }
      row(a, b, r * length);
    }
  });
}

template <class F>
void arithmetic_of(const F& f, const std::vector<StridedAxis>& axes, const float* a, const float* b,
                   float* out) {
  const StridedAxis along = axes.back();
  for_rows(axes, [&](std::int64_t from_a, std::int64_t from_b, std::int64_t to) {
    const float* x = a + from_a;
    const float* y = b + from_b;
    float* z = out + to;
    if (along.a == 1 && along.b == 1) {  // what the compiler can turn into vectors
      for (std::int64_t i = 0; i < along.size; ++i) z[i] = f(x[i], y[i]);
    } else {
      for (std::int64_t i = 0; i < along.size; ++i) z[i] = f(x[i * along.a], y[i * along.b]);
    }
  });
}

}  // namespace

void arithmetic(Arithmetic f, const std::vector<StridedAxis>& axes, const float* a, const float* b,
                float* out) {
  switch (f) {
    case Arithmetic::add:
      return arithmetic_of([](float x, float y) { return x + y; }, axes, a, b, out);
    case Arithmetic::subtract:
      return arithmetic_of([](float x, float y) { return x - y; }, axes, a, b, out);
    case Arithmetic::multiply:
      return arithmetic_of([](float x, float y) { return x * y; }, axes, a, b, out);
    case Arithmetic::divide:
      return arithmetic_of([](float x, float y) { return x / y; }, axes, a, b, out);
  }
}

void gather(const std::vector<StridedAxis>& axes, const float* a, float* out) {
  const StridedAxis along = axes.back();
  for_rows(axes, [&](std::int64_t from, std::int64_t, std::int64_t to) {
    for (std::int64_t i = 0; i < along.size; ++i) out[to + i] = a[from + i * along.a];
  });
}

void take(std::int64_t rows, std::int64_t width, const std::vector<std::int64_t>& columns,
          const float* x, float* out) {
  const auto count = static_cast<std::int64_t>(columns.size());
  parallel_for(rows * count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      out[i] = x[i / count * width + columns[static_cast<std::size_t>(i % count)]];
    }
  });
}

}  // namespace fastconv
