#include "conv/winograd.hpp"

#include <cmath>

#include "conv/winograd_transform.hpp"
#include "simd/activation.hpp"
#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

// Beside F(2, 5).
using FASTCONV_ISA::input_line;
using FASTCONV_ISA::output_line;
using FASTCONV_ISA::weight_line;

// What odd powers of +-1/2, +-1 and +-2 contribute to a line of 7 or 8.
template <int N>
FASTCONV_INLINE void odd_lines(const vf (&d)[N], vf& a, vf& b, vf& c) {
  const vf half = set1(0.5f), two = set1(2.0f), middle = d[3] * set1(-2.5f);
  a = fma(d[1], two, fma(d[5], half, middle));
  b = fma(d[3], set1(-4.25f), d[1] + d[5]);
  c = fma(d[1], half, fma(d[5], two, middle));
}

// One line of B^T d.
FASTCONV_INLINE void input_line(const vf (&d)[4], vf (&t)[4]) {
  t[0] = d[0] - d[2];
  t[1] = d[1] + d[2];
  t[2] = d[2] - d[1];
  t[3] = d[1] - d[3];
}

// The points 0, +-1/2, +-1, +-2 and infinity.
FASTCONV_INLINE void input_line(const vf (&d)[8], vf (&t)[8]) {
  const vf even_a = fma(d[2], set1(4.0f), fma(d[4], set1(-5.0f), d[6]));
  const vf even_b = fma(d[4], set1(-4.25f), d[2] + d[6]);
  const vf even_c = fma(d[2], set1(0.25f), fma(d[4], set1(-1.25f), d[6]));
  vf odd_a, odd_b, odd_c;
  odd_lines(d, odd_a, odd_b, odd_c);
  t[0] = fma(d[4] - d[2], set1(5.25f), d[0] - d[6]);
  t[1] = even_a + odd_a;
  t[2] = even_a - odd_a;
  t[3] = even_b + odd_b;
  t[4] = even_b - odd_b;
  t[5] = even_c + odd_c;
  t[6] = even_c - odd_c;
  t[7] = fma(d[3] - d[5], set1(5.25f), d[7] - d[1]);
}

// Of a short tile, without the point 0.
FASTCONV_INLINE void input_line(const vf (&d)[3], vf (&t)[3]) {
  t[0] = d[0] + d[1];
  t[1] = d[0] - d[1];
  t[2] = d[0] - d[2];
}

FASTCONV_INLINE void input_line(const vf (&d)[5], vf (&t)[5]) {
  const vf root2 = set1(kRoot2), root_half = set1(kRootHalf);
  const vf even_a = fma(d[2], set1(0.5f), -d[0]);
  const vf odd_a = fma(d[1], -root2, d[3] * root_half);
  const vf even_b = fma(d[2], set1(2.0f), -d[0]);
  const vf odd_b = fma(d[1], -root_half, d[3] * root2);
  t[0] = even_a + odd_a;
  t[1] = even_a - odd_a;
  t[2] = even_b + odd_b;
  t[3] = even_b - odd_b;
  t[4] = fma(d[2], set1(-2.5f), d[0] + d[4]);
}

FASTCONV_INLINE void input_line(const vf (&d)[7], vf (&t)[7]) {
  const vf even_a = fma(d[4], set1(0.25f), fma(d[2], set1(-1.25f), d[0]));
  const vf even_b = fma(d[2], set1(-4.25f), d[0] + d[4]);
  const vf even_c = fma(d[4], set1(4.0f), fma(d[2], set1(-5.0f), d[0]));
  vf odd_a, odd_b, odd_c;
  odd_lines(d, odd_a, odd_b, odd_c);
  t[0] = even_a + odd_a;
  t[1] = even_a - odd_a;
  t[2] = even_b + odd_b;
  t[3] = even_b - odd_b;
  t[4] = even_c + odd_c;
  t[5] = even_c - odd_c;
  t[6] = fma(d[2] - d[4], set1(5.25f), d[6] - d[0]);
}

// One line of A^T m: F(2, 3), F(4, 3), F(4, 5), F(6, 3).
FASTCONV_INLINE void output_line(const vf (&m)[4], vf (&y)[2]) {
  y[0] = m[0] + m[1] + m[2];
  y[1] = m[1] - m[2] - m[3];
}

FASTCONV_INLINE void output_line(const vf (&m)[6], vf (&y)[4]) {
  const vf root2 = set1(kRoot2), root_half = set1(kRootHalf);
  const vf sum_a = m[1] + m[2], difference_a = m[1] - m[2];
  const vf sum_b = m[3] + m[4], difference_b = m[3] - m[4];
  y[0] = m[0] + sum_a + sum_b;
  y[1] = fma(difference_a, root_half, difference_b * root2);
  y[2] = fma(sum_a, set1(0.5f), sum_b + sum_b);
  // Cubes: sqrt(1/2)^3 and sqrt(2)^3.
  y[3] = fma(difference_a, set1(0.5f * kRootHalf), fma(difference_b, set1(2.0f * kRoot2), m[5]));
}

FASTCONV_INLINE void output_line(const vf (&m)[8], vf (&y)[4]) {
  const vf sum_a = m[1] + m[2], difference_a = m[1] - m[2];
  const vf sum_b = m[3] + m[4], difference_b = m[3] - m[4];
  const vf sum_c = m[5] + m[6], difference_c = m[5] - m[6];
  y[0] = (m[0] + sum_a) + (sum_b + sum_c);
  y[1] = fma(difference_a, set1(0.5f), fma(difference_c, set1(2.0f), difference_b));
  y[2] = fma(sum_a, set1(0.25f), fma(sum_c, set1(4.0f), sum_b));
  y[3] = fma(difference_a, set1(0.125f), fma(difference_c, set1(8.0f), difference_b + m[7]));
}

FASTCONV_INLINE void output_line(const vf (&m)[8], vf (&y)[6]) {
  const vf sum_a = m[1] + m[2], difference_a = m[1] - m[2];
  const vf sum_b = m[3] + m[4], difference_b = m[3] - m[4];
  const vf sum_c = m[5] + m[6], difference_c = m[5] - m[6];
  y[0] = (m[0] + sum_a) + (sum_b + sum_c);
  y[1] = fma(difference_a, set1(0.5f), fma(difference_c, set1(2.0f), difference_b));
  y[2] = fma(sum_a, set1(0.25f), fma(sum_c, set1(4.0f), sum_b));
  y[3] = fma(difference_a, set1(0.125f), fma(difference_c, set1(8.0f), difference_b));
  y[4] = fma(sum_a, set1(0.0625f), fma(sum_c, set1(16.0f), sum_b));
  y[5] = fma(difference_a, set1(0.03125f), fma(difference_c, set1(32.0f), difference_b + m[7]));
}

// Of a short tile: F(1, 3), F(1, 5), F(3, 3), F(3, 5), F(5, 3).
FASTCONV_INLINE void output_line(const vf (&m)[3], vf (&y)[1]) { y[0] = m[0] + m[1] - m[2]; }

FASTCONV_INLINE void output_line(const vf (&m)[5], vf (&y)[1]) {
  y[0] = (m[0] + m[1]) + (m[2] + m[3]) + m[4];
}

FASTCONV_INLINE void output_line(const vf (&m)[5], vf (&y)[3]) {
  y[0] = (m[0] + m[1]) + (m[2] + m[3]);
  y[1] = fma(m[0] - m[1], set1(kRootHalf), (m[2] - m[3]) * set1(kRoot2));
  y[2] = fma(m[0] + m[1], set1(0.5f), fma(m[2] + m[3], set1(2.0f), m[4]));
}

FASTCONV_INLINE void output_line(const vf (&m)[7], vf (&y)[3]) {
  const vf sum_a = m[0] + m[1], sum_b = m[2] + m[3], sum_c = m[4] + m[5];
  const vf odd_a = (m[0] - m[1]) * set1(0.5f), odd_b = m[2] - m[3];
  y[0] = sum_a + (sum_b + sum_c);
  y[1] = fma(m[4] - m[5], set1(2.0f), odd_a + odd_b);
  y[2] = fma(sum_a, set1(0.25f), fma(sum_c, set1(4.0f), sum_b + m[6]));
}

FASTCONV_INLINE void output_line(const vf (&m)[7], vf (&y)[5]) {
  const vf sum_a = m[0] + m[1], difference_a = m[0] - m[1];
  const vf sum_b = m[2] + m[3], difference_b = m[2] - m[3];
  const vf sum_c = m[4] + m[5], difference_c = m[4] - m[5];
  y[0] = sum_a + (sum_b + sum_c);
  y[1] = fma(difference_a, set1(0.5f), fma(difference_c, set1(2.0f), difference_b));
  y[2] = fma(sum_a, set1(0.25f), fma(sum_c, set1(4.0f), sum_b));
  y[3] = fma(difference_a, set1(0.125f), fma(difference_c, set1(8.0f), difference_b));
  y[4] = fma(sum_a, set1(0.0625f), fma(sum_c, set1(16.0f), sum_b + m[6]));
}

// Of points that leave 0 out: F(2, 4), F(4, 4).
FASTCONV_INLINE void output_line(const vf (&m)[5], vf (&y)[2]) {
  const vf all[6] = {zero(), m[0], m[1], m[2], m[3], m[4]};
  output_line(all, y);
}

FASTCONV_INLINE void output_line(const vf (&m)[7], vf (&y)[4]) {
  const vf all[8] = {zero(), m[0], m[1], m[2], m[3], m[4], m[5], m[6]};
  output_line(all, y);
}

// One line of G g: F(2, 3), F(4, 3), F(6, 3), F(4, 5).
FASTCONV_INLINE void weight_line(const vf (&g)[3], vf (&t)[4]) {
  const vf half = set1(0.5f);
  const vf even = (g[0] + g[2]) * half, odd = g[1] * half;
  t[0] = g[0];
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = g[2];
}

FASTCONV_INLINE void weight_line(const vf (&g)[3], vf (&t)[6]) {
  const vf third = set1(1.0f / 3), two_thirds = set1(2.0f / 3), sixth = set1(1.0f / 6);
  const vf even_a = fma(g[0], two_thirds, g[2] * third), odd_a = g[1] * set1(kRoot2 / 3);
  const vf even_b = fma(g[0], sixth, g[2] * third), odd_b = g[1] * set1(kRoot2 / 6);
  t[0] = g[0];
  t[1] = zero() - (even_a + odd_a);
  t[2] = odd_a - even_a;
  t[3] = even_b + odd_b;
  t[4] = even_b - odd_b;
  t[5] = g[2];
}

FASTCONV_INLINE void weight_line(const vf (&g)[5], vf (&t)[8]) {
  constexpr float k = 2.0f / 45;
  const vf even_a = fma(g[0], set1(16 * k), fma(g[2], set1(4 * k), g[4] * set1(k)));
  const vf odd_a = fma(g[1], set1(8 * k), g[3] * set1(2 * k));
  const vf even_b = (g[0] + g[2] + g[4]) * set1(-2.0f / 9), odd_b = (g[1] + g[3]) * set1(-2.0f / 9);
  const vf even_c = fma(g[0], set1(k / 4), fma(g[2], set1(k), g[4] * set1(4 * k)));
  const vf odd_c = fma(g[1], set1(k / 2), g[3] * set1(2 * k));
  t[0] = g[0];
  t[1] = even_a + odd_a;
  t[2] = even_a - odd_a;
  t[3] = even_b + odd_b;
  t[4] = even_b - odd_b;
  t[5] = even_c + odd_c;
  t[6] = even_c - odd_c;
  t[7] = g[4];
}

FASTCONV_INLINE void weight_line(const vf (&g)[3], vf (&t)[8]) {
  const vf longer[5] = {g[0], g[1], g[2], zero(), zero()};
  weight_line(longer, t);
  t[7] = g[2];
}

// F(2, 4), F(4, 4): without the point 0.
template <int T>
FASTCONV_INLINE void weight_line(const vf (&g)[4], vf (&t)[T]) {
  const vf longer[5] = {g[0], g[1], g[2], g[3], zero()};
  vf all[T + 1];
  weight_line(longer, all);
  for (int i = 0; i + 1 < T; ++i) t[i] = all[i + 1];
  t[T - 1] = g[3];
}

template <int T, int R>
void weights(const float* taps, std::int64_t floats, float* u, std::int64_t u_stride) {
  for (std::int64_t i = 0; i < floats; i += W) {
    both_ways<R, T>([&](int tap) { return load(taps + tap * floats + i); },
                    FASTCONV_LINE(weight_line),
                    [&](int position, vf value) { store(u + position * u_stride + i, value); });
  }
}

// A line of a tile of T positions that is short by none, one or two: without the point 0, and
// without infinity, the last. line(in, out) knows those that are short by one.
template <int T, int ALL, int N, int K, class Line>
FASTCONV_INLINE void short_line(const vf (&in)[N], vf (&out)[K], const Line& line) {
  if constexpr (N + 2 == T) {
    vf longer[T - 1], all[ALL];
    for (int i = 0; i < N; ++i) longer[i] = in[i];
    longer[N] = zero();
    line(longer, all);
    for (int i = 0; i < K; ++i) out[i] = all[i];
  } else {
    line(in, out);
  }
}

template <int T, int N>
FASTCONV_INLINE void short_input_line(const vf (&d)[N], vf (&t)[N]) {
  short_line<T, T - 1>(d, t, FASTCONV_LINE(input_line));
}

template <int T, int M, int N, int K>
FASTCONV_INLINE void short_output_line(const vf (&m)[N], vf (&y)[K]) {
  short_line<T, M - 1>(m, y, FASTCONV_LINE(output_line));
}

// A tile that is short one way has no first position that way.
template <int T, int SHORT_H, int SHORT_W, bool WHOLE, class Load>
FASTCONV_INLINE void input_block(const Load& load_at, std::int64_t lanes, float* v,
                                 std::int64_t v_stride) {
  both_ways<T - SHORT_H, T - SHORT_H, T - SHORT_W, T - SHORT_W>(
      load_at, FASTCONV_LINE(short_input_line<T>), [&](int i, int j, vf value) {
        float* p = v + ((i + (SHORT_H > 0)) * T + j + (SHORT_W > 0)) * v_stride;
        WHOLE ? store(p, value) : store_first(p, value, lanes);
      });
}

template <int T, int SHORT_H, int SHORT_W>
void input(const float* const* pixels, std::int64_t channels, std::int64_t next, float* v,
           std::int64_t v_stride) {
  constexpr int kShared = 2;  // columns, about, that the next tile reads as well
  std::int64_t c = 0;
  for (; c + W <= channels; c += W) {
    const auto load_at = [&](int i, int j) {
      const float* p = pixels[i * T + j] + c;
      if (j >= kShared) __builtin_prefetch(p + next, 0, 2);
      return load(p);
    };
    input_block<T, SHORT_H, SHORT_W, true>(load_at, W, v + c, v_stride);
  }
  if (c < channels) {
    const auto load_at = [&](int i, int j) {
      return load_first(pixels[i * T + j] + c, channels - c);
    };
    input_block<T, SHORT_H, SHORT_W, false>(load_at, channels - c, v + c, v_stride);
  }
}

template <int T, int SHORT_H, int SHORT_W>
void input_phases(const PhaseTile& tile, float* v, std::int64_t v_stride) {
  const std::int64_t channels = tile.stride * tile.run, row = tile.stride * tile.line;
  for (std::int64_t c = 0; c < channels; c += W) {
    const std::int64_t lanes = channels - c < W ? channels - c : W;
    const std::int64_t line = c / tile.run, left = (line + 1) * tile.run - c;
    const std::int64_t from_first = left < lanes ? left : lanes;
    const float* first = tile.first + line * tile.line + c - line * tile.run;
    const float* second = tile.first + (line + 1) * tile.line - left;
    const auto load_at = [&](int i, int j) {
      const std::int64_t at = i * row + j * tile.run;
      return (vf)((vi)load_first(first + at, from_first) |
                  (vi)load_lanes(second + at, from_first, lanes));
    };
    input_block<T, SHORT_H, SHORT_W, false>(load_at, lanes, v + c, v_stride);
  }
}

// Of whole vectors of pixels that all lie inside the picture, activated by max(low, .) or not at
// all.
template <int M, int T, int SHORT_H, int SHORT_W, bool POOLS, bool RESIDUAL>
FASTCONV_INLINE void output_block(const WinogradOutput& job, std::int64_t c) {
  const vf bias = job.bias == nullptr ? zero() : load(job.bias + c);
  const vf low = set1(job.activation.kind == Activation::relu ? 0.0f : -INFINITY);
  constexpr int POOL = POOLS ? 2 : 1;
  vf left, above[M / 2];
  both_ways<T - SHORT_H, M - SHORT_H, T - SHORT_W, M - SHORT_W>(
      [&](int i, int j) {
        return load(job.m + ((i + (SHORT_H > 0)) * T + j + (SHORT_W > 0)) * job.m_stride + c);
      },
      FASTCONV_LINE((short_output_line<T, M>)),
      [&](int i, int j, vf value) {
        if constexpr (POOLS) {
          if (j % 2 == 0) return void(left = value);
          value = max_nan(left, value);
          if (i % 2 == 0) return void(above[j / 2] = value);
          value = max_nan(above[j / 2], value);
        }
        const std::int64_t at = i / POOL * job.out_row + j / POOL * job.out_pixel + c;
        __builtin_prefetch(job.next + at, 1);
        value = value + bias;
        if constexpr (RESIDUAL) value = value + load(job.residual + at);
        store(job.out + at, max(low, value));
      });
}

// What a tile has inside the picture, of pixels y, `row` of them a line: with any activation.
void write_pixels(const WinogradOutput& job, const vf* y, std::int64_t row, bool pools,
                  std::int64_t c, std::int64_t lanes) {
  const auto read = [&](const float* p) { return lanes == W ? load(p) : load_first(p, lanes); };
  const vf bias = job.bias == nullptr ? zero() : read(job.bias + c);
  const std::int64_t pool = pools ? 2 : 1;
  for (std::int64_t i = 0; i < job.height; i += pool) {
    for (std::int64_t j = 0; j < job.width; j += pool) {
      const vf* window = y + i * row + j;
      vf value = window[0];
      if (pools) {
        value = max_nan(max_nan(value, window[1]), max_nan(window[row], window[row + 1]));
      }
      const std::int64_t at = i / pool * job.out_row + j / pool * job.out_pixel + c;
      value = value + bias;
      if (job.residual != nullptr) value = value + read(job.residual + at);
      value = activate(value, job.activation);
      lanes == W ? store(job.out + at, value) : store_first(job.out + at, value, lanes);
    }
  }
}

template <int M, int T, int SHORT_H, int SHORT_W, bool POOLS = false>
void output(const WinogradOutput& job) {
  constexpr int HEIGHT = M - SHORT_H, WIDTH = M - SHORT_W;
  std::int64_t c = 0;
  // Elsewhere nobody chooses F(6, 3) unasked: it need not be quick.
  if constexpr (M < 6 || kRegisters == 32) {
    const bool plain =
        job.height == HEIGHT && job.width == WIDTH &&
        (job.activation.kind == Activation::relu || job.activation.kind == Activation::none);
    for (; plain && c + W <= job.columns; c += W) {
      if (POOLS || job.residual == nullptr) {
        output_block<M, T, SHORT_H, SHORT_W, POOLS, false>(job, c);
      } else {
        output_block<M, T, SHORT_H, SHORT_W, false, true>(job, c);
      }
    }
  }
  for (; c < job.columns; c += W) {
    const std::int64_t lanes = job.columns - c < W ? job.columns - c : W;
    vf y[HEIGHT * WIDTH];
    both_ways<T - SHORT_H, HEIGHT, T - SHORT_W, WIDTH>(
        [&](int i, int j) {
          const float* p = job.m + ((i + (SHORT_H > 0)) * T + j + (SHORT_W > 0)) * job.m_stride + c;
          return lanes == W ? load(p) : load_first(p, lanes);
        },
        FASTCONV_LINE((short_output_line<T, M>)),
        [&](int i, int j, vf value) { y[i * WIDTH + j] = value; });
    write_pixels(job, y, WIDTH, POOLS, c, lanes);
  }
}

template <int M, int R>
constexpr WinogradForm form() {
  constexpr int T = M + R - 1;
  WinogradForm f = {};
  f.input[0][0][0] = f.input[1][0][0] = input<T, 0, 0>;
  f.input_phases[0][0] = input_phases<T, 0, 0>;
  f.output[0][0][0] = f.output[1][0][0] = output<M, T, 0, 0>;
  f.pooled[0][0] = output<M, T, 0, 0, true>;
  f.weights = weights<T, R>;
  if constexpr (T % 2 == 0) {
    f.input[0][0][1] = input<T, 0, 1>;
    f.input[0][1][0] = input<T, 1, 0>;
    f.input[0][1][1] = input<T, 1, 1>;
    f.input_phases[0][1] = input_phases<T, 0, 1>;
    f.input_phases[1][0] = input_phases<T, 1, 0>;
    f.input_phases[1][1] = input_phases<T, 1, 1>;
    f.output[0][0][1] = output<M, T, 0, 1>;
    f.output[0][1][0] = output<M, T, 1, 0>;
    f.output[0][1][1] = output<M, T, 1, 1>;
  }
  if constexpr (T % 2 == 0 && M > 2) {
    f.input[1][0][1] = input<T, 0, 2>;
    f.input[1][1][0] = input<T, 2, 0>;
    f.input[1][1][1] = input<T, 2, 2>;
    f.pooled[0][1] = output<M, T, 0, 2, true>;
    f.pooled[1][0] = output<M, T, 2, 0, true>;
    f.pooled[1][1] = output<M, T, 2, 2, true>;
  }
  if constexpr (M == 6) {
    f.output[1][0][1] = output<M, T, 0, 2>;
    f.output[1][1][0] = output<M, T, 2, 0>;
    f.output[1][1][1] = output<M, T, 2, 2>;
  }
  return f;
}

}  // namespace

extern const WinogradKernels winograd_kernels_table;
const WinogradKernels winograd_kernels_table = {{{form<2, 3>(), form<4, 3>(), form<6, 3>()},
                                                 {form<2, 4>(), form<4, 4>(), {}},
                                                 {form<2, 5>(), form<4, 5>(), {}}}};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
