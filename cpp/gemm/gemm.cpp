#include "fastconv/gemm.hpp"

#include <algorithm>
#include <cstring>

#include "core/error.hpp"
#include "core/memory.hpp"
#include "core/recent.hpp"
#include "gemm/blocked.hpp"
#include "gemm/implicit.hpp"
#include "gemm/streamed.hpp"

namespace fastconv {
namespace {

// With no more rows than this, packing B costs more than it saves.
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

// f(begin, end) over columns of the result, four at a time, on all threads.
template <class F>
void each_stretch(std::int64_t m, std::int64_t n, std::int64_t k, const F& f) {
  const std::int64_t grain = std::max<std::int64_t>(4, 100'000 / std::max<std::int64_t>(1, k * m));
  parallel_for(ceil_div(n, 4), ceil_div(grain, 4),
               [&](std::int64_t begin, std::int64_t end) { f(begin * 4, std::min(end * 4, n)); });
}

// out = x * w^T for a few rows of x: streams w once, in place.
void few_rows(const GemmShape& s, const float* x, const float* w, float* out,
              const Epilogue& epilogue) {
  const TileKernels& kernels = tile_kernels();
  each_stretch(s.m, s.n, s.k, [&](std::int64_t begin, std::int64_t end) {
    kernels.dot(x, s.lda, s.m, w, s.ldb, s.k, begin, end, out, s.ldc);
    apply_epilogue(epilogue, s.m, begin, end, out, s.ldc);
  });
}

ImplicitGemm rows_times_panels(std::int64_t m, std::int64_t lda, const Panels& panels,
                               std::int64_t ldc) {
  ImplicitGemm g;
  g.in_w = g.out_w = m;
  g.channels = panels.k;
  g.in_pixel = lda;
  g.out_pixel = ldc;
  g.taps = {{0, 0}};
  g.kernels = panels.kernels;
  g.k = panels.k;
  g.n = panels.n;
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

  if (streaming_pays(s)) return gemm_streamed(s, alpha, a, b, beta, c, epilogue);
  if (blocking_pays(s)) return gemm_blocked(s, alpha, a, b, beta, c, epilogue);

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

  const float* rows = s.trans_a ? a_memory.data() : a;
  ImplicitGemm g = rows_times_panels(s.m, s.trans_a ? ldt : s.lda, panels, s.ldc);
  g.alpha = alpha;
  g.beta = beta;
  g.activation = epilogue.activation;
  g.run({rows, panels.data, c, epilogue.bias, epilogue.residual});
}

namespace {

// Nearest bfloat16, ties to even; NaN stays NaN.
std::uint16_t to_bf16(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace

struct PackedLinear::Impl {
  AlignedBuffer weight, bias;
  Panels panels;  // its data is null where weights are bf16
  Activation activation;
  Recent<GemmPlan> plans;  // by rows and threads

  const std::uint16_t* bf16() const {
    return reinterpret_cast<const std::uint16_t*>(weight.data());
  }
};

PackedLinear::PackedLinear(const float* weight, const float* bias, std::int64_t out_features,
                           std::int64_t in_features, Activation activation, WeightType type)
    : impl_(new Impl) {
  if (out_features < 0 || in_features < 0) {
    fail("linear", "sizes must not be negative",
         {{"out_features", out_features}, {"in_features", in_features}});
  }
  const std::int64_t size = checked_mul("linear", out_features, in_features);
  checked_mul("linear", size, 4);
  const TileKernels& kernels = tile_kernels();
  if (type == WeightType::bf16) {
    impl_->weight = AlignedBuffer::lasting(ceil_div(size, 2));
    impl_->panels = {&kernels, nullptr, in_features, out_features};
    auto* to = reinterpret_cast<std::uint16_t*>(impl_->weight.data());
    parallel_for(size, 65536, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i] = to_bf16(weight[i]);
    });
  } else {
    impl_->weight = AlignedBuffer::lasting(Panels::floats(kernels, in_features, out_features));
    impl_->panels = {&kernels, impl_->weight.data(), in_features, out_features};
    impl_->panels.pack(weight, 1, in_features);
  }
  if (bias != nullptr) {
    impl_->bias = AlignedBuffer::lasting(out_features);
    std::copy_n(bias, out_features, impl_->bias.data());
  }
  impl_->activation = activation;
}

PackedLinear::~PackedLinear() = default;
PackedLinear::PackedLinear(PackedLinear&&) noexcept = default;
PackedLinear& PackedLinear::operator=(PackedLinear&&) noexcept = default;

void PackedLinear::run(const float* x, std::int64_t rows, float* out,
                       const NextWeights& next) const {
  if (rows < 0) fail("linear", "rows must not be negative", {{"rows", rows}});
  const Panels& panels = impl_->panels;
  const Epilogue epilogue = {impl_->bias.data(), nullptr, impl_->activation};
  if (panels.data == nullptr && panels.k > 0) {
    each_stretch(rows, panels.n, panels.k, [&](std::int64_t begin, std::int64_t end) {
      panels.kernels->dot_bf16(x, panels.k, rows, impl_->bf16(), panels.k, panels.k, begin, end,
                               out, panels.n);
      apply_epilogue(epilogue, rows, begin, end, out, panels.n);
    });
    return;
  }
  const int threads = get_num_threads();
  const auto plan = impl_->plans.get({rows, threads}, [&] {
    ImplicitGemm g = rows_times_panels(rows, panels.k, panels, panels.n);
    g.activation = epilogue.activation;
    return GemmPlan(g, threads);
  });
  plan->run({x, panels.data, out, epilogue.bias, nullptr, next});
}

NextWeights PackedLinear::weights() const {
  const Panels& panels = impl_->panels;
  if (panels.data == nullptr) return {};
  return {panels.data, Panels::floats(*panels.kernels, panels.k, panels.n)};
}

std::int64_t PackedLinear::in_features() const { return impl_->panels.k; }
std::int64_t PackedLinear::out_features() const { return impl_->panels.n; }

}  // namespace fastconv
