#include "fastconv/gemm.hpp"

#include <algorithm>
#include <cstring>

#include "core/error.hpp"
#include "core/memory.hpp"
#include "gemm/implicit.hpp"

namespace fastconv {
namespace {

// With fewer rows than this, packing B costs more than it saves.
constexpr std::int64_t kFewRows = 16;

void validate(const GemmShape& s) {
  if (s.m < 0 || s.n < 0 || s.k < 0) {
    fail("gemm", "sizes must not be negative", {{"m", s.m}, {"n", s.n}, {"k", s.k}});
  }
  const std::int64_t a_columns = s.trans_a ? s.m : s.k, b_columns = s.trans_b ? s.k : s.n;
  if (s.lda < a_columns || s.ldb < b_columns || s.ldc < s.n) {
    fail("gemm", "a leading dimension must be at least the number of columns",
         {{"lda", s.lda},
          {"a_columns", a_columns},
          {"ldb", s.ldb},
          {"b_columns", b_columns},
          {"ldc", s.ldc},
          {"c_columns", s.n}});
  }
  checked_mul("gemm", checked_mul("gemm", s.m, s.n), 4);
  checked_mul("gemm", checked_mul("gemm", s.k, s.n), 4);
  checked_mul("gemm", checked_mul("gemm", s.m, s.k), 4);
}

// out += bias + residual, then the activation, for columns [begin, end).
void apply_epilogue(const Epilogue& epilogue, std::int64_t rows, std::int64_t begin,
                    std::int64_t end, float* out, std::int64_t ld) {
  const Activation& f = epilogue.activation;
  for (std::int64_t i = 0; i < rows; ++i) {
    float* row = out + i * ld;
    for (std::int64_t j = begin; j < end; ++j) {
      float v = row[j];
      if (epilogue.bias != nullptr) v += epilogue.bias[j];
      if (epilogue.residual != nullptr) v += epilogue.residual[i * ld + j];
      // Comparisons are false for NaN, which so passes through.
      if (f.kind == Activation::relu) v = v < 0.0f ? 0.0f : v;
      if (f.kind == Activation::leaky_relu) v = v <= 0.0f ? f.a * v : v;
      if (f.kind == Activation::clip) v = v < f.a ? f.a : (v > f.b ? f.b : v);
      row[j] = v;
    }
  }
}

// out = x * w^T for a few rows of x: streams w once, in place.
void few_rows(const GemmShape& s, const float* x, const float* w, float* out,
              const Epilogue& epilogue) {
  const TileKernels& kernels = tile_kernels();
  const std::int64_t grain =
      std::max<std::int64_t>(4, 100'000 / std::max<std::int64_t>(1, s.k * s.m));
  parallel_for(ceil_div(s.n, 4), ceil_div(grain, 4), [&](std::int64_t begin, std::int64_t end) {
    begin *= 4;
    end = std::min(end * 4, s.n);
    kernels.dot(x, s.lda, s.m, w, s.ldb, s.k, begin, end, out, s.ldc);
    apply_epilogue(epilogue, s.m, begin, end, out, s.ldc);
  });
}

ImplicitGemm rows_times_panels(std::int64_t m, const float* a, std::int64_t lda,
                               const Panels& panels, float* c, std::int64_t ldc) {
  ImplicitGemm g;
  g.in = a;
  g.in_w = g.out_w = m;
  g.channels = panels.k;
  g.in_pixel = lda;
  g.out = c;
  g.out_pixel = ldc;
  g.taps = {{0, 0}};
  g.b = panels;
  return g;
}

}  // namespace

void gemm(const GemmShape& s, float alpha, const float* a, const float* b, float beta, float* c,
          const Epilogue& epilogue) {
  validate(s);
  if (s.m == 0 || s.n == 0) return;
  if (s.m <= kFewRows && !s.trans_a && s.trans_b && alpha == 1.0f && beta == 0.0f) {
    few_rows(s, a, b, c, epilogue);
    return;
  }

  const TileKernels& kernels = tile_kernels();
  Scratch b_memory(Panels::floats(kernels, s.k, s.n));
  const Panels panels = {&kernels, b_memory.data(), s.k, s.n};
  panels.pack(b, s.trans_b ? 1 : s.ldb, s.trans_b ? s.ldb : 1);

  // Rows of a transposed A are written out once, a little longer than a power of two.
  const std::int64_t ldt = round_up(s.k, kernels.lanes) + 16;
  Scratch a_memory(s.trans_a ? s.m * ldt : 0);
  if (s.trans_a) {
    parallel_for(
        ceil_div(s.m, 16), ceil_div(4096, s.k + 1), [&](std::int64_t begin, std::int64_t end) {
          begin *= 16;
          end = std::min(end * 16, s.m);
          kernels.transpose(a + begin, s.lda, s.k, end - begin, a_memory.data() + begin * ldt, ldt);
        });
  }

  ImplicitGemm g = rows_times_panels(s.m, s.trans_a ? a_memory.data() : a, s.trans_a ? ldt : s.lda,
                                     panels, c, s.ldc);
  g.alpha = alpha;
  g.beta = beta;
  g.bias = epilogue.bias;
  g.residual = epilogue.residual;
  g.activation = epilogue.activation;
  g.run();
}

struct PackedLinear::Impl {
  AlignedBuffer weight, bias;
  Panels panels;
  Activation activation;
};

PackedLinear::PackedLinear(const float* weight, const float* bias, std::int64_t out_features,
                           std::int64_t in_features, Activation activation)
    : impl_(new Impl) {
  if (out_features < 0 || in_features < 0) {
    fail("linear", "sizes must not be negative",
         {{"out_features", out_features}, {"in_features", in_features}});
  }
  checked_mul("linear", checked_mul("linear", out_features, in_features), 4);
  const TileKernels& kernels = tile_kernels();
  impl_->weight = AlignedBuffer(Panels::floats(kernels, in_features, out_features));
  impl_->panels = {&kernels, impl_->weight.data(), in_features, out_features};
  impl_->panels.pack(weight, 1, in_features);
  if (bias != nullptr) {
    impl_->bias = AlignedBuffer(out_features);
    std::copy_n(bias, out_features, impl_->bias.data());
  }
  impl_->activation = activation;
}

PackedLinear::~PackedLinear() = default;
PackedLinear::PackedLinear(PackedLinear&&) noexcept = default;
PackedLinear& PackedLinear::operator=(PackedLinear&&) noexcept = default;

void PackedLinear::run(const float* x, std::int64_t rows, float* out) const {
  if (rows < 0) fail("linear", "rows must not be negative", {{"rows", rows}});
  ImplicitGemm g = rows_times_panels(rows, x, in_features(), impl_->panels, out, out_features());
  g.bias = impl_->bias.data();
  g.activation = impl_->activation;
  g.run();
}

std::int64_t PackedLinear::in_features() const { return impl_->panels.k; }
std::int64_t PackedLinear::out_features() const { return impl_->panels.n; }

}  // namespace fastconv
