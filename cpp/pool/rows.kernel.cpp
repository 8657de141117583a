// Windows are reduced down their columns first, into scratch that stays in the level-1 cache, and
// then across: kernel_h + kernel_w operations an output instead of kernel_h * kernel_w, whatever
// the window, over long contiguous runs even where channels are few.
#include "pool/rows.hpp"

#include "simd/lanes.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

struct Max {
  // As max_nan, in the form that compiles to one comparison and one masked maximum.
  static FASTCONV_INLINE vf combine(vf best, vf x) { return best != best ? best : max(best, x); }
};

struct Sum {
  static FASTCONV_INLINE vf combine(vf total, vf x) { return total + x; }
};

// V vectors of: y = (x[0] op x[step] op ... op x[(count - 1) * step]) / divisor
template <class Op, int V>
FASTCONV_INLINE void reduce_vectors(const float* x, std::int64_t step, std::int64_t count,
                                    const float* divisor, float* y) {
  vf result[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) result[v] = load(x + v * W);
  for (std::int64_t i = 1; i < count; ++i) {
    x += step;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) result[v] = Op::combine(result[v], load(x + v * W));
  }
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    store(y + v * W, divisor == nullptr ? result[v] : result[v] / set1(*divisor));
  }
}

template <class Op>
FASTCONV_INLINE void reduce_last(const float* x, std::int64_t step, std::int64_t count,
                                 const float* divisor, float* y, std::int64_t length) {
  vf result = load_first(x, length);
  for (std::int64_t i = 1; i < count; ++i) {
    result = Op::combine(result, load_first(x + i * step, length));
  }
  store_first(y, divisor == nullptr ? result : result / set1(*divisor), length);
}

// `length` floats of the same.
template <class Op>
void reduce(const float* x, std::int64_t step, std::int64_t count, const float* divisor, float* y,
            std::int64_t length) {
  std::int64_t i = 0;
  for (; i + 4 * W <= length; i += 4 * W) {
    reduce_vectors<Op, 4>(x + i, step, count, divisor, y + i);
  }
  for (; i + W <= length; i += W) reduce_vectors<Op, 1>(x + i, step, count, divisor, y + i);
  if (i < length) reduce_last<Op>(x + i, step, count, divisor, y + i, length - i);
}

std::int64_t positions(Span span, std::int64_t step) {
  const std::int64_t length = span.end - span.begin;
  return step == 1 ? length : (length - 1) / step + 1;  // a division is as long as a window
}

// The windows of outputs `begin` to `end` across the scratch, whose first column is `first`.
template <class Op, bool mean>
void reduce_across(const PoolRow& row, std::int64_t begin, std::int64_t end, std::int64_t first) {
  const std::int64_t channels = row.channels, step = row.column_step * channels;
  std::int64_t o = begin;
  const auto window = [&] { return row.scratch + (row.columns[o].begin - first) * channels; };
  const auto divisor = [&] { return mean ? row.row_count * row.column_counts[o] : 1.0f; };
  if (channels < W && row.y_pixel == channels) {
    // Whole vectors, which spill over what the next outputs write after them.
    for (; o < end && (row.outputs - o) * channels >= W; ++o) {
      const float by = divisor();
      reduce_vectors<Op, 1>(window(), step, positions(row.columns[o], row.column_step),
                            mean ? &by : nullptr, row.y + o * channels);
    }
  }
  for (; o < end; ++o) {
    const float by = divisor();
    reduce<Op>(window(), step, positions(row.columns[o], row.column_step), mean ? &by : nullptr,
               row.y + o * row.y_pixel, channels);
  }
}

// Outputs [begin, end), and the input columns between the first and the last that they read.
struct Stretch {
  std::int64_t begin, end;
  Span columns;
};

// As many outputs from `begin` on as the scratch holds columns for.
Stretch next_stretch(const PoolRow& row, std::int64_t begin) {
  Stretch s = {begin, begin + 1, row.columns[begin]};
  for (; s.end < row.outputs; ++s.end) {
    const Span next = row.columns[s.end];
    const std::int64_t low = next.begin < s.columns.begin ? next.begin : s.columns.begin;
    const std::int64_t high = next.end > s.columns.end ? next.end : s.columns.end;
    if (high - low > row.scratch_columns) break;
    s.columns = {low, high};
  }
  return s;
}

template <class Op, bool mean>
void reduce_windows(const PoolRow& row) {
  const std::int64_t channels = row.channels;
  const std::int64_t down = positions(row.rows, row.row_step);
  const float* x = row.x + row.rows.begin * row.x_row;
  const std::int64_t x_step = row.row_step * row.x_row;

  for (std::int64_t done = 0; done < row.outputs;) {
    const Stretch s = next_stretch(row, done);
    const std::int64_t columns = s.columns.end - s.columns.begin;
    const float* source = x + s.columns.begin * row.x_pixel;
    if (row.x_pixel == channels) {
      reduce<Op>(source, x_step, down, nullptr, row.scratch, columns * channels);
    } else {
      for (std::int64_t i = 0; i < columns; ++i) {
        reduce<Op>(source + i * row.x_pixel, x_step, down, nullptr, row.scratch + i * channels,
                   channels);
      }
    }
    reduce_across<Op, mean>(row, s.begin, s.end, s.columns.begin);
    done = s.end;
  }
}

// n <= W channels of one window, tap by tap, so that the first of equal maxima wins.
template <class Load>
FASTCONV_INLINE void find_max(const PoolRow& row, Span columns, std::int64_t width,
                              std::int64_t channel, Load load_channels, vf& best, vi& where) {
  const auto number = [&](std::int64_t h, std::int64_t w) {
    return vi{} + static_cast<std::int32_t>(h * width + w);
  };
  const float* x = row.x + channel;
  best = load_channels(x + row.rows.begin * row.x_row + columns.begin * row.x_pixel);
  where = number(row.rows.begin, columns.begin);
  for (std::int64_t h = row.rows.begin; h < row.rows.end; h += row.row_step) {
    for (std::int64_t w = columns.begin; w < columns.end; w += row.column_step) {
      const vf value = load_channels(x + h * row.x_row + w * row.x_pixel);
      // Greater, or the first NaN; the comparison is also false for NaN.
      const vi better = (vi)(best == best) & ~(vi)(value <= best);
      best = better ? value : best;
      where = better ? number(h, w) : where;
    }
  }
}

// Indices move as the floats that they lie among.
FASTCONV_INLINE const float* as_floats(const std::int32_t* p) {
  return reinterpret_cast<const float*>(p);
}
FASTCONV_INLINE float* as_floats(std::int32_t* p) { return reinterpret_cast<float*>(p); }

// Few channels: down whole lines first, and then across, each window in a vector that spills over
// what the next ones write.
void max_of_few_channels(const PoolRow& row, std::int64_t width, std::int32_t* indices) {
  const std::int64_t channels = row.channels;
  const auto from = [&](std::int64_t h) { return vi{} + static_cast<std::int32_t>(h * width); };
  for (std::int64_t done = 0; done < row.outputs;) {
    const Stretch s = next_stretch(row, done);
    const float* x = row.x + s.columns.begin * channels;
    const std::int64_t length = (s.columns.end - s.columns.begin) * channels;
    for (std::int64_t i = 0; i < length; i += W) {
      const std::int64_t n = length - i < W ? length - i : W;
      vf best = load_first(x + row.rows.begin * row.x_row + i, n);
      vi where = from(row.rows.begin);
      for (std::int64_t h = row.rows.begin + row.row_step; h < row.rows.end; h += row.row_step) {
        const vf value = load_first(x + h * row.x_row + i, n);
        const vi better = (vi)(best == best) & ~(vi)(value <= best);
        best = better ? value : best;
        where = better ? from(h) : where;
      }
      store(row.scratch + i, best);
      store(as_floats(row.lines) + i, (vf)where);
    }
    for (std::int64_t o = s.begin; o < s.end; ++o) {
      const Span span = row.columns[o];
      const auto place = [&](std::int64_t w) { return (w - s.columns.begin) * channels; };
      const auto number = [&](std::int64_t w) {
        return (vi)load(as_floats(row.lines) + place(w)) + static_cast<std::int32_t>(w);
      };
      vf best = load(row.scratch + place(span.begin));
      vi where = number(span.begin);
      for (std::int64_t w = span.begin + row.column_step; w < span.end; w += row.column_step) {
        const vf value = load(row.scratch + place(w));
        const vi here = number(w);
        // Of equal maxima, or of NaNs, the first counts, which may be in a column further right.
        const vi nan = (vi)(best != best), other_nan = (vi)(value != value);
        const vi first = (vi)(here < where) & ((vi)(value == best) | (nan & other_nan));
        const vi better = (~nan & ~(vi)(value <= best)) | first;
        best = better ? value : best;
        where = better ? here : where;
      }
      const std::int64_t left = (row.outputs - o) * channels, n = left < W ? left : W;
      store_first(row.y + o * channels, best, n);
      store_first(as_floats(indices) + o * channels, (vf)where, n);
    }
    done = s.end;
  }
}

void max_with_indices(const PoolRow& row, std::int64_t width, std::int32_t* indices,
                      std::int64_t pixel) {
  const std::int64_t channels = row.channels;
  if (channels < W && channels == row.x_pixel && channels == row.y_pixel && channels == pixel) {
    return max_of_few_channels(row, width, indices);
  }
  for (std::int64_t o = 0; o < row.outputs; ++o) {
    float* y = row.y + o * row.y_pixel;
    std::int32_t* index = indices + o * pixel;
    vf best;
    vi where;
    std::int64_t c = 0;
    for (; c + W <= row.channels; c += W) {
      find_max(row, row.columns[o], width, c, [](const float* p) { return load(p); }, best, where);
      store(y + c, best);
      __builtin_memcpy(index + c, &where, sizeof where);
    }
    if (c < row.channels) {
      const std::int64_t n = row.channels - c;
      find_max(
          row, row.columns[o], width, c, [n](const float* p) { return load_first(p, n); }, best,
          where);
      store_first(y + c, best, n);
      for (std::int64_t i = 0; i < n; ++i) index[c + i] = where[i];
    }
  }
}

std::int64_t sum(vi count) {
  std::int64_t total = 0;
  for (int lane = 0; lane < W; ++lane) total += count[lane];
  return total;
}

// n <= W channels of the gradient of input column i; adds to `count` the gradients that came.
template <class Lanes>
FASTCONV_INLINE vf gather_max(const MaxGradientRow& row, std::int64_t i, std::int64_t channel,
                              const Lanes& lanes, vi& count) {
  const vi here = vi{} + static_cast<std::int32_t>(row.first_index + i);
  const Span columns = row.columns[i];
  const auto gradient = [&](std::int64_t at) {
    const vi hit = (vi)lanes.load_channels(as_floats(row.indices) + at) == here;
    count = count - lanes.counted(hit);
    return hit ? lanes.load_channels(row.grad_y + at) : zero();
  };
  const std::int64_t first = row.rows.begin * row.y_row + columns.begin * row.channels + channel;
  // Windows that do not overlap.
  if (row.rows.end - row.rows.begin == 1 && columns.end - columns.begin == 1) {
    return gradient(first);
  }
  vf total = zero();
  for (std::int64_t h = 0; h < row.rows.end - row.rows.begin; ++h) {
    for (std::int64_t w = 0; w < columns.end - columns.begin; ++w) {
      total = total + gradient(first + h * row.y_row + w * row.channels);
    }
  }
  return total;
}

struct WholeChannels {
  FASTCONV_INLINE vf load_channels(const float* p) const { return load(p); }
  FASTCONV_INLINE vi counted(vi hit) const { return hit; }
};

struct FirstChannels {
  std::int64_t n;
  vi mask;
  explicit FirstChannels(std::int64_t count) : n(count) {
    for (int i = 0; i < W; ++i) mask[i] = i < n ? -1 : 0;
  }
  FASTCONV_INLINE vf load_channels(const float* p) const { return load_first(p, n); }
  FASTCONV_INLINE vi counted(vi hit) const { return hit & mask; }
};

std::int64_t max_backward(const MaxGradientRow& row) {
  vi count = {};
  const std::int64_t whole = row.channels / W * W;
  const FirstChannels rest(row.channels - whole);
  for (std::int64_t i = 0; i < row.inputs; ++i) {
    float* grad_x = row.grad_x + i * row.channels;
    for (std::int64_t c = 0; c < whole; c += W) {
      store(grad_x + c, gather_max(row, i, c, WholeChannels{}, count));
    }
    if (rest.n > 0) store_first(grad_x + whole, gather_max(row, i, whole, rest, count), rest.n);
  }
  return sum(count);
}

std::int64_t max_backward_spread(const SpreadRow& row) {
  vi count = {};
  const std::int64_t* start = row.starts;
  for_vectors(row.x_floats, [&](std::int64_t i, auto vector) {
    const std::int64_t from = *start++, left = row.y_floats - from, n = left < W ? left : W;
    const vi lanes = (vi)load(as_floats(row.lanes) + i);
    const vi column = (vi)load(as_floats(row.columns) + i);
    const vi index = (vi)permute(load_first(as_floats(row.indices) + from, n), lanes);
    const vi here = column + static_cast<std::int32_t>(row.first_index);
    const vi hit = (vi)(index == here) & (vi)(column >= 0);
    count = count - hit;
    vector(row.grad_x + i, hit ? permute(load_first(row.grad_y + from, n), lanes) : zero());
  });
  return sum(count);
}

// V vectors, or n < W floats where V is 0, of the gradient of input column i.
template <int V>
FASTCONV_INLINE void gather(const PoolGradientRow& row, std::int64_t i, std::int64_t channel,
                            std::int64_t n) {
  constexpr int kVectors = V > 0 ? V : 1;
  vf total[kVectors] = {};
  for (std::int64_t h = row.rows.begin; h < row.rows.end; ++h) {
    for (std::int64_t w = row.columns[i].begin; w < row.columns[i].end; ++w) {
      const float* g = row.grad_y + h * row.y_row + w * row.y_pixel + channel;
      const vf share = set1(1.0f / (row.row_counts[h] * row.column_counts[w]));
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        total[v] = fma(V > 0 ? load(g + v * W) : load_first(g, n), share, total[v]);
      }
    }
  }
  float* grad_x = row.grad_x + i * row.x_pixel + channel;
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    if (V > 0) {
      store(grad_x + v * W, total[v]);
    } else {
      store_first(grad_x, total[v], n);
    }
  }
}

void mean_backward(const PoolGradientRow& row) {
  for (std::int64_t i = 0; i < row.inputs; ++i) {
    std::int64_t c = 0;
    for (; c + 4 * W <= row.channels; c += 4 * W) gather<4>(row, i, c, 0);
    for (; c + W <= row.channels; c += W) gather<1>(row, i, c, 0);
    if (c < row.channels) gather<0>(row, i, c, row.channels - c);
  }
}

}  // namespace

extern const PoolKernels pool_kernels_table;
const PoolKernels pool_kernels_table = {W,
                                        reduce_windows<Max, false>,
                                        max_with_indices,
                                        max_backward,
                                        max_backward_spread,
                                        reduce_windows<Sum, true>,
                                        mean_backward};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
