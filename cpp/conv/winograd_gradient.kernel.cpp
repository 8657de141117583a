#include "conv/winograd_gradient.hpp"

#include "conv/winograd_transform.hpp"
#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

constexpr int T = 6;

// One line of A y: the transpose of winograd.kernel.cpp's output_line. F(2, 5), F(4, 3).
FASTCONV_INLINE void spread_line(const vf (&y)[2], vf (&m)[T]) {
  const vf root2 = set1(kRoot2), root_half = set1(kRootHalf);
  m[0] = y[0];
  m[1] = fma(y[1], root_half, y[0]);
  m[2] = fma(y[1], -root_half, y[0]);
  m[3] = fma(y[1], root2, y[0]);
  m[4] = fma(y[1], -root2, y[0]);
  m[5] = y[1];
}

FASTCONV_INLINE void spread_line(const vf (&y)[4], vf (&m)[T]) {
  const vf even_a = fma(y[2], set1(0.5f), y[0]);
  const vf odd_a = fma(y[1], set1(kRootHalf), y[3] * set1(0.5f * kRootHalf));
  const vf even_b = fma(y[2], set1(2.0f), y[0]);
  const vf odd_b = fma(y[1], set1(kRoot2), y[3] * set1(2.0f * kRoot2));
  m[0] = y[0];
  m[1] = even_a + odd_a;
  m[2] = even_a - odd_a;
  m[3] = even_b + odd_b;
  m[4] = even_b - odd_b;
  m[5] = y[3];
}

// One line of G^T u: the transpose of weight_line. F(4, 3), F(2, 5).
FASTCONV_INLINE void collect_line(const vf (&u)[T], vf (&g)[3]) {
  const vf third = set1(1.0f / 3), two_thirds = set1(2.0f / 3), sixth = set1(1.0f / 6);
  const vf sum_a = u[1] + u[2], difference_a = u[2] - u[1];
  const vf sum_b = u[3] + u[4], difference_b = u[3] - u[4];
  g[0] = fma(sum_a, -two_thirds, fma(sum_b, sixth, u[0]));
  g[1] = fma(difference_a, set1(kRoot2 / 3), difference_b * set1(kRoot2 / 6));
  g[2] = fma(sum_b - sum_a, third, u[5]);
}

FASTCONV_INLINE void collect_line(const vf (&u)[T], vf (&g)[5]) {
  const vf third = set1(1.0f / 3), two_thirds = set1(2.0f / 3), sixth = set1(1.0f / 6);
  const vf sum_a = u[1] + u[2], difference_a = u[2] - u[1];
  const vf sum_b = u[3] + u[4], difference_b = u[3] - u[4];
  g[0] = fma(sum_a, -two_thirds, fma(sum_b, sixth, u[0]));
  g[1] = fma(difference_a, set1(kRoot2 / 3), difference_b * set1(kRoot2 / 6));
  g[2] = (sum_b - sum_a) * third;
  g[3] = fma(difference_a, set1(kRoot2 / 6), difference_b * set1(kRoot2 / 3));
  g[4] = fma(sum_a, -sixth, fma(sum_b, two_thirds, u[5]));
}

template <int M>
void spread(const float* const* pixels, std::int64_t columns, std::int64_t width, float* v,
            std::int64_t v_stride) {
  for (std::int64_t c = 0; c < width; c += W) {
    const std::int64_t lanes = columns > c ? columns - c : 0;
    const auto store_at = [&](int position, vf value) {
      store(v + position * v_stride + c, value);
    };
    if (lanes >= W) {
      both_ways<M, T>([&](int i) { return load(pixels[i] + c); }, FASTCONV_LINE(spread_line),
                      store_at);
    } else {
      both_ways<M, T>([&](int i) { return load_first(pixels[i] + c, lanes); },
                      FASTCONV_LINE(spread_line), store_at);
    }
  }
}

template <int R>
void collect(const float* u, std::int64_t u_stride, std::int64_t floats, float* g,
             std::int64_t g_stride) {
  for (std::int64_t c = 0; c < floats; c += W) {
    both_ways<T, R>([&](int position) { return load(u + position * u_stride + c); },
                    FASTCONV_LINE(collect_line),
                    [&](int tap, vf value) { store(g + tap * g_stride + c, value); });
  }
}

}  // namespace

extern const WinogradGradientKernels winograd_gradient_kernels_table;
const WinogradGradientKernels winograd_gradient_kernels_table = {{spread<4>, spread<2>},
                                                                 {collect<3>, collect<5>}};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
