#include "elementwise/elementwise.hpp"

#include "simd/activation.hpp"
#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

template <Activation::Kind kind>
void add_kind(Activation f, std::int64_t n, const float* x, const float* y, float* out) {
  std::int64_t i = 0;
  for (; i + W <= n; i += W) {
    store(out + i, activate_as<kind>(load(x + i) + load(y + i), f.a, f.b));
  }
  if (i < n) {
    const vf total = load_first(x + i, n - i) + load_first(y + i, n - i);
    store_first(out + i, activate_as<kind>(total, f.a, f.b), n - i);
  }
}

void add(Activation f, std::int64_t n, const float* x, const float* y, float* out) {
  switch (f.kind) {
    case Activation::relu:
      return add_kind<Activation::relu>(f, n, x, y, out);
    case Activation::leaky_relu:
      return add_kind<Activation::leaky_relu>(f, n, x, y, out);
    case Activation::clip:
      return add_kind<Activation::clip>(f, n, x, y, out);
    case Activation::none:
      return add_kind<Activation::none>(f, n, x, y, out);
  }
}

}  // namespace

extern const ElementwiseKernels elementwise_kernels_table;
const ElementwiseKernels elementwise_kernels_table = {add};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
