#include "core/peak.hpp"

#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

std::int64_t fma_rounds(std::int64_t rounds, float* sink) {
  // Enough chains to hide the latency of an FMA on two ports: 2 * 4 or 5, and some.
  constexpr int kChains = kRegisters == 32 ? 24 : 12;
  vf acc[kChains];
#pragma GCC unroll 24
  for (int i = 0; i < kChains; ++i) acc[i] = set1(static_cast<float>(i));
  const vf a = set1(0.999f), b = set1(1e-3f);
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) acc[i] = fma(acc[i], a, b);
  }
  vf total = zero();
#pragma GCC unroll 24
  for (int i = 0; i < kChains; ++i) total = total + acc[i];
  *sink = sum(total);
  return rounds * kChains * W * 2;
}

}  // namespace

extern const PeakKernels peak_kernels_table;
const PeakKernels peak_kernels_table = {fma_rounds};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
