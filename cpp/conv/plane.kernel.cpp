#include "conv/plane.hpp"

#include "conv/pairs.hpp"
#include "conv/winograd_transform.hpp"
#include "simd/activation.hpp"
#include "simd/lanes.hpp"
#include "simd/simd.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

// Channels at a time: 2 lines x 2 vectors of each, beside two of x and a weight.
constexpr int kMaxChannels = kRegisters == 32 ? 6 : 3;

// What a line of x adds to 2 W outputs of C channels: above, of which `w` are the weights, and of
// the line below.
template <int C, bool ABOVE, bool BELOW>
FASTCONV_INLINE void add_line(const PlaneJob& job, const float* x, const float* w,
                              const float* w_below, vf (&sums)[C][2][2]) {
#pragma GCC unroll 2
  for (std::int64_t j = 0; j < job.kernel_w; ++j, w += job.channels, w_below += job.channels) {
    const vf left = load(x + j), right = load(x + j + W);
#pragma GCC unroll 6
    for (int c = 0; ABOVE && c < C; ++c) {
      const vf weight = set1(w[c]);
      sums[c][0][0] = fma(left, weight, sums[c][0][0]);
      sums[c][0][1] = fma(right, weight, sums[c][0][1]);
    }
#pragma GCC unroll 6
    for (int c = 0; BELOW && c < C; ++c) {
      const vf weight = set1(w_below[c]);
      sums[c][1][0] = fma(left, weight, sums[c][1][0]);
      sums[c][1][1] = fma(right, weight, sums[c][1][1]);
    }
  }
}

// Channels [first, first + C) of 2 W outputs of two lines, whose windows start at x, without bias.
template <int C>
FASTCONV_INLINE void convolve(const PlaneJob& job, const float* x, std::int64_t first,
                              vf (&sums)[C][2][2]) {
  const std::int64_t size = job.kernel_w * job.channels;  // of a line's weights
  const float* w = job.weight + first;
  // Line i of the windows above is line i - 1 of those below.
  add_line<C, true, false>(job, x, w, w, sums);
  for (std::int64_t i = 1; i < job.kernel_h; ++i, w += size) {
    add_line<C, true, true>(job, x + i * job.x_row, w + size, w, sums);
  }
  add_line<C, false, true>(job, x + job.kernel_h * job.x_row, w, w, sums);
}

// Adds the bias, activates and stores V vectors of each channel, vectors `step` apart.
template <int C, int V>
FASTCONV_INLINE void finish(const PlaneJob& job, std::int64_t first, vf (&y)[C][V], float* to,
                            std::int64_t pitch, const std::int64_t (&step)[V]) {
  const Activation activation = job.activation;
#pragma GCC unroll 6
  for (int c = 0; c < C; ++c) {
    const vf bias = job.bias == nullptr ? zero() : set1(job.bias[first + c]);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      store(to + (first + c) * pitch + step[v], activate(y[c][v] + bias, activation));
    }
  }
}

// All columns of C channels of two lines, or of their maxima, to scratch. Channels are 2 * pitch
// floats apart there, the two lines pitch.
template <int C, bool pooled>
FASTCONV_INLINE void lines_of(const PlaneJob& job, const float* x, std::int64_t first,
                              std::int64_t pitch) {
  for (std::int64_t o = 0; o < job.columns; o += pooled ? W : 2 * W) {
    vf sums[C][2][2] = {};
    convolve<C>(job, pooled ? x + 2 * o : x + o, first, sums);
    if (pooled) {
      vf y[C][1];
      // Bias and activation do not change which is the largest.
#pragma GCC unroll 6
      for (int c = 0; c < C; ++c) {
        const vf left = max_nan(sums[c][0][0], sums[c][1][0]);
        const vf right = max_nan(sums[c][0][1], sums[c][1][1]);
        y[c][0] = max_nan(unzip_even(left, right), unzip_odd(left, right));
      }
      finish<C, 1>(job, first, y, job.scratch + o, 2 * pitch, {0});
    } else {
      vf y[C][4];
#pragma GCC unroll 6
      for (int c = 0; c < C; ++c) {
        y[c][0] = sums[c][0][0], y[c][1] = sums[c][0][1];
        y[c][2] = sums[c][1][0], y[c][3] = sums[c][1][1];
      }
      finish<C, 4>(job, first, y, job.scratch + o, 2 * pitch, {0, W, pitch, pitch + W});
    }
  }
}

// The points of each of `lines` lines of x: a vector of each holds W pairs of pixels.
void transform_lines(const PlaneJob& job, const float* x, std::int64_t lines) {
  const std::int64_t point = plane_point(job.columns);
  float* v = job.v;
  for (std::int64_t line = 0; line < lines; ++line, x += job.x_row, v += kLinePoints * point) {
    for (std::int64_t o = 0; o < job.columns; o += W) {
      vf d[kLinePoints], t[kLinePoints];
#pragma GCC unroll 3
      for (int i = 0; i < kLinePoints; i += 2) {
        const vf left = load(x + 2 * o + i), right = load(x + 2 * o + i + W);
        d[i] = unzip_even(left, right), d[i + 1] = unzip_odd(left, right);
      }
      input_line(d, t);
#pragma GCC unroll 6
      for (int i = 0; i < kLinePoints; ++i) store(v + i * point + o, t[i]);
    }
  }
}

// Two points, p and q, of W pairs of pixels of two lines of C channels.
template <int C>
FASTCONV_INLINE void add_points(const PlaneJob& job, const float* v, std::int64_t v_line,
                                const float* p, const float* q, std::int64_t q_v,
                                vf (&sums)[C][2][2]) {
  vf above[2] = {load(v), load(v + q_v)};
  for (std::int64_t i = 0; i < job.kernel_h; ++i, p += job.channels, q += job.channels) {
    v += v_line;
    const vf below[2] = {load(v), load(v + q_v)};
#pragma GCC unroll 3
    for (int c = 0; c < C; ++c) {
      const vf to_p = set1(p[c]), to_q = set1(q[c]);
      sums[c][0][0] = fma(above[0], to_p, sums[c][0][0]);
      sums[c][0][1] = fma(above[1], to_q, sums[c][0][1]);
      sums[c][1][0] = fma(below[0], to_p, sums[c][1][0]);
      sums[c][1][1] = fma(below[1], to_q, sums[c][1][1]);
    }
    above[0] = below[0], above[1] = below[1];
  }
}

// The maxima of all columns of C channels of two lines, to scratch as above.
template <int C>
FASTCONV_INLINE void pairs_of(const PlaneJob& job, const float* v, std::int64_t first,
                              std::int64_t pitch) {
  const std::int64_t point = plane_point(job.columns), line = kLinePoints * point;
  const std::int64_t size = job.kernel_h * job.channels;  // of a point's weights
  const float* u = job.weight + first;
  constexpr int last = kLinePoints - 1;
  for (std::int64_t o = 0; o < job.columns; o += W, v += W) {
    // Of each line, the two pixels; 0 and infinity add to one each.
    vf y[C][2][2] = {};
    add_points<C>(job, v, line, u, u + last * size, last * point, y);
#pragma GCC unroll 2
    for (int t = 1; t < last; t += 2) {
      const vf at = set1(t == 1 ? kRootHalf : kRoot2);  // and at -at
      vf m[C][2][2] = {};
      add_points<C>(job, v + t * point, line, u + t * size, u + (t + 1) * size, point, m);
#pragma GCC unroll 3
      for (int c = 0; c < C; ++c) {
#pragma GCC unroll 2
        for (int i = 0; i < 2; ++i) {
          y[c][i][0] = y[c][i][0] + (m[c][i][0] + m[c][i][1]);
          y[c][i][1] = fma(m[c][i][0] - m[c][i][1], at, y[c][i][1]);
        }
      }
    }
    vf most[C][1];
#pragma GCC unroll 3
    for (int c = 0; c < C; ++c) {
      most[c][0] = max_nan(max_nan(y[c][0][0], y[c][0][1]), max_nan(y[c][1][0], y[c][1][1]));
    }
    finish<C, 1>(job, first, most, job.scratch + o, 2 * pitch, {0});
  }
}

void copy_lines(const float* from, std::int64_t lines, std::int64_t width, float* to,
                std::int64_t pitch) {
  for (std::int64_t i = 0; i < lines; ++i) {
    for_vectors(width, [&](std::int64_t at, auto vector) {
      vector(to + i * pitch + at, vector(from + i * width + at));
    });
  }
}

// The first C lanes of pixels of N lanes, side by side.
template <int N, int C>
struct SideBySide {
  std::int32_t lanes[W] = {};
  constexpr SideBySide() {
    for (int i = 0; i < W / N * C; ++i) lanes[i] = i / C * N + i % C;
  }
};

// At most N channels, `pitch` apart, of all columns to pixels, y_pixel apart.
template <int N>
void to_pixels(const float* from, std::int64_t pitch, std::int64_t channels, std::int64_t columns,
               float* to, std::int64_t y_pixel) {
  const std::int64_t blocks = y_pixel == channels ? columns - N / channels : 0;
  for (std::int64_t first = 0; first < columns; first += W) {
    vf rows[N];
#pragma GCC unroll 16
    for (int c = 0; c < N; ++c) rows[c] = c < channels ? load(from + c * pitch + first) : zero();
    transpose(rows);
    const std::int64_t end = columns - first < W ? columns : first + W;
    const float* pixel = reinterpret_cast<const float*>(rows);
    for (std::int64_t o = first; o < end; ++o, pixel += N) {
      if (o < blocks) {
        __builtin_memcpy(to + o * y_pixel, pixel, N * sizeof(float));
      } else {
        for (std::int64_t c = 0; c < channels; ++c) to[o * y_pixel + c] = pixel[c];
      }
    }
  }
}

// C channels to pixels without gaps: whole vectors, which spill over pixels yet to come only.
template <int C>
void to_dense_pixels(const float* from, std::int64_t pitch, std::int64_t columns, float* to) {
  constexpr int N = C > 8 ? 16 : C > 4 ? 8 : 4;
  if constexpr (N > W) {
    to_pixels<N>(from, pitch, C, columns, to, C);
  } else {
    static constexpr SideBySide<N, C> side_by_side;
    vi order;
    __builtin_memcpy(&order, side_by_side.lanes, sizeof order);
    for (std::int64_t first = 0; first < columns; first += W) {
      vf rows[N];
#pragma GCC unroll 16
      for (int c = 0; c < N; ++c) rows[c] = c < C ? load(from + c * pitch + first) : zero();
      transpose(rows);
      const std::int64_t end = columns - first < W ? columns : first + W;
#pragma GCC unroll 16
      for (int i = 0; i < N; ++i) {
        const std::int64_t begin = (first + i * (W / N)) * C;
        const std::int64_t left = end * C - begin, lanes = W / N * C;
        const vf pixels = N < W ? permute(rows[i], order) : rows[i];
        if (columns * C - begin >= W) {
          store(to + begin, pixels);
        } else if (left > 0) {
          store_first(to + begin, pixels, left < lanes ? left : lanes);
        }
      }
    }
  }
}

// All channels of one line, `pitch` apart.
void line_to_pixels(const PlaneJob& job, const float* line, std::int64_t pitch, float* to) {
  if (job.y_pixel == job.channels && job.channels <= 16) {
    constexpr void (*kernels[])(const float*, std::int64_t, std::int64_t, float*) = {
        to_dense_pixels<1>,  to_dense_pixels<2>,  to_dense_pixels<3>,  to_dense_pixels<4>,
        to_dense_pixels<5>,  to_dense_pixels<6>,  to_dense_pixels<7>,  to_dense_pixels<8>,
        to_dense_pixels<9>,  to_dense_pixels<10>, to_dense_pixels<11>, to_dense_pixels<12>,
        to_dense_pixels<13>, to_dense_pixels<14>, to_dense_pixels<15>, to_dense_pixels<16>};
    return kernels[job.channels - 1](line, pitch, job.columns, to);
  }
  for (std::int64_t c = 0; c < job.channels; c += 16) {
    const float* planes = line + c * pitch;
    const std::int64_t left = job.channels - c;
    if (left > 8) {
      to_pixels<16>(planes, pitch, left < 16 ? left : 16, job.columns, to + c, job.y_pixel);
    } else if (left > 4) {
      to_pixels<8>(planes, pitch, left, job.columns, to + c, job.y_pixel);
    } else {
      to_pixels<4>(planes, pitch, left, job.columns, to + c, job.y_pixel);
    }
  }
}

template <bool pooled>
void forward(const PlaneJob& job, const float* x, float* y) {
  const std::int64_t pitch = plane_pitch(job.columns), y_row = job.columns * job.y_pixel;
  for (std::int64_t line = 0; line < job.lines; line += pooled ? 1 : 2) {
    const float* from = x + (pooled ? 2 * line : line) * job.x_row;
    std::int64_t c = 0;
    for (; c + kMaxChannels <= job.channels; c += kMaxChannels) {
      lines_of<kMaxChannels, pooled>(job, from, c, pitch);
    }
    for (; c + 2 <= job.channels; c += 2) lines_of<2, pooled>(job, from, c, pitch);
    for (; c < job.channels; ++c) lines_of<1, pooled>(job, from, c, pitch);
    line_to_pixels(job, job.scratch, 2 * pitch, y + line * y_row);
    if (!pooled && line + 1 < job.lines) {
      line_to_pixels(job, job.scratch + pitch, 2 * pitch, y + (line + 1) * y_row);
    }
  }
}

void winograd(const PlaneJob& job, const float* x, float* y) {
  constexpr int kChannels = kRegisters == 32 ? 3 : 1;
  const std::int64_t pitch = plane_pitch(job.columns);
  const std::int64_t v_line = kLinePoints * plane_point(job.columns);
  transform_lines(job, x, 2 * job.lines + job.kernel_h - 1);
  for (std::int64_t line = 0; line < job.lines; ++line) {
    const float* v = job.v + 2 * line * v_line;
    std::int64_t c = 0;
    for (; c + kChannels <= job.channels; c += kChannels) pairs_of<kChannels>(job, v, c, pitch);
    for (; c < job.channels; ++c) pairs_of<1>(job, v, c, pitch);
    line_to_pixels(job, job.scratch, 2 * pitch, y + line * job.columns * job.y_pixel);
  }
}

// Channels of the gradient at a time, beside as many sums as kMaxTaps kernel positions have of
// them, and a vector of x.
constexpr int kGradientChannels = kRegisters == 32 ? 3 : 2;
constexpr int kMaxTaps = 5;

std::int64_t gradient_channels(const PlaneGradientJob& job) {
  return (job.channels + kGradientChannels - 1) / kGradientChannels * kGradientChannels;
}

std::int64_t gradient_pitch(const PlaneGradientJob& job) { return (job.columns + W - 1) / W * W; }

// The channels of a line, at most N, to planes: whole vectors, with zeros behind the last column.
// The reverse of to_pixels.
template <int N>
FASTCONV_INLINE void to_planes(const PlaneGradientJob& job, const float* line, float* to) {
  const std::int64_t columns = job.columns, channels = job.channels, pitch = gradient_pitch(job);
  // Pixels N floats apart first. Whole blocks are copied where N floats are there to be read.
  const std::int64_t blocks = columns - N / channels;
  float* copy = job.copy;
  std::int64_t o = 0;
  for (; o < blocks; ++o) __builtin_memcpy(copy + o * N, line + o * channels, N * sizeof(float));
  for (; o < columns; ++o) {
    for (std::int64_t c = 0; c < channels; ++c) copy[o * N + c] = line[o * channels + c];
  }
  for (std::int64_t i = columns * N; i < pitch * N; ++i) copy[i] = 0;

  for (o = 0; o < columns; o += W, copy += W * N) {
    vf rows[N];
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) rows[i] = load(copy + i * W);
    for (int round = 1; round < N; round *= 2) {
      vf next[N];
#pragma GCC unroll 8
      for (int i = 0; i < N / 2; ++i) {
        next[i] = unzip_even(rows[2 * i], rows[2 * i + 1]);
        next[i + N / 2] = unzip_odd(rows[2 * i], rows[2 * i + 1]);
      }
#pragma GCC unroll 8
      for (int i = 0; i < N; ++i) rows[i] = next[i];
    }
    for (std::int64_t c = 0; c < channels; ++c) store(to + c * pitch + o, rows[c]);
  }
}

// The partial sums of J kernel positions, from (i, j) on, for some channels.
template <int J>
void add_taps(const PlaneGradientJob& job, const float* x, std::int64_t i, std::int64_t j,
              std::int64_t channel) {
  const std::int64_t channels = gradient_channels(job), pitch = gradient_pitch(job);
  float* sums = job.sums + ((i * job.kernel_w + j) * channels + channel) * W;
  vf acc[J][kGradientChannels];
#pragma GCC unroll 5
  for (int t = 0; t < J; ++t) {
#pragma GCC unroll 3
    for (int c = 0; c < kGradientChannels; ++c) acc[t][c] = load(sums + (t * channels + c) * W);
  }
  for (std::int64_t line = 0; line < job.lines; ++line) {
    const float* row = x + (line + i) * job.x_row + j;
    const float* grad = job.planes + (line * channels + channel) * pitch;
    for (std::int64_t o = 0; o < job.columns; o += W) {
      const std::int64_t lanes = job.columns - o;
      vf g[kGradientChannels];
#pragma GCC unroll 3
      for (int c = 0; c < kGradientChannels; ++c) g[c] = load(grad + c * pitch + o);
#pragma GCC unroll 5
      for (int t = 0; t < J; ++t) {
        const vf seen = load_first(row + o + t, lanes < W ? lanes : W);
#pragma GCC unroll 3
        for (int c = 0; c < kGradientChannels; ++c) acc[t][c] = fma(seen, g[c], acc[t][c]);
      }
    }
  }
#pragma GCC unroll 5
  for (int t = 0; t < J; ++t) {
#pragma GCC unroll 3
    for (int c = 0; c < kGradientChannels; ++c) store(sums + (t * channels + c) * W, acc[t][c]);
  }
}

void gradient(const PlaneGradientJob& job, const float* x, const float* grad) {
  const std::int64_t channels = gradient_channels(job), pitch = gradient_pitch(job);
  for (std::int64_t line = 0; line < job.lines; ++line) {
    const float* from = grad + line * job.columns * job.channels;
    float* planes = job.planes + line * channels * pitch;
    job.channels > 4 ? to_planes<8>(job, from, planes) : to_planes<4>(job, from, planes);
    for (std::int64_t i = job.channels * pitch; i < channels * pitch; ++i) planes[i] = 0;
  }
  constexpr void (*kernels[])(const PlaneGradientJob&, const float*, std::int64_t, std::int64_t,
                              std::int64_t) = {add_taps<1>, add_taps<2>, add_taps<3>, add_taps<4>,
                                               add_taps<5>};
  for (std::int64_t c = 0; c < channels; c += kGradientChannels) {
    for (std::int64_t i = 0; i < job.kernel_h; ++i) {
      for (std::int64_t j = 0; j < job.kernel_w; j += kMaxTaps) {
        const std::int64_t left = job.kernel_w - j;
        kernels[(left < kMaxTaps ? left : kMaxTaps) - 1](job, x, i, j, c);
      }
    }
  }
}

void sum_gradient(const PlaneGradientJob& job, float* grad_weight, std::int64_t ld) {
  const std::int64_t channels = gradient_channels(job);
  for (std::int64_t t = 0; t < job.kernel_h * job.kernel_w; ++t) {
    for (std::int64_t c = 0; c < job.channels; ++c) {
      grad_weight[t * ld + c] = sum(load(job.sums + (t * channels + c) * W));
    }
  }
}

}  // namespace

extern const PlaneKernels plane_kernels_table;
const PlaneKernels plane_kernels_table = {copy_lines, forward<false>, forward<true>,
                                          winograd,   gradient,       sum_gradient};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
