#include "conv/phases.hpp"

#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

void spread(const float* from, std::int64_t floats, std::int64_t count, float* to,
            std::int64_t to_stride) {
  for (std::int64_t i = 0; i < count; ++i, from += floats, to += to_stride) {
    std::int64_t j = 0;
    for (; j + W <= floats; j += W) store(to + j, load(from + j));
    if (j < floats) store_first(to + j, load_first(from + j, floats - j), floats - j);
  }
}

}  // namespace

extern const PhaseKernels phase_kernels_table;
const PhaseKernels phase_kernels_table = {spread};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
