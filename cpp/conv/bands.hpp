// Pictures of a convolution of stride and dilation 1, band of lines by band of lines, with the
// zeros around them written out.
#pragma once

#include <algorithm>

#include "conv/plane.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"
#include "fastconv/conv.hpp"

namespace fastconv {

struct PaddedPictures {
  const Conv2dParams& p;
  PictureSize in, out;
  std::int64_t row;        // floats between lines of a band; those behind its line are zeros
  std::int64_t band = 32;  // lines of the convolution, an even number

  PaddedPictures(const Conv2dParams& params, std::int64_t batch, PictureSize size,
                 std::int64_t slack = 0)
      : p(params), in(size), out(conv2d_output_size(params, batch, size)) {
    row = (out.w + p.kernel_w - 1) * p.in_channels;
    if (slack > 0) row = round_up(row, 16) + slack;
  }

  std::int64_t picture() const { return in.h * in.w * p.in_channels; }
  std::int64_t macs() const {  // of one picture
    return out.h * out.w * p.kernel_h * p.kernel_w * p.in_channels * p.out_channels;
  }
  // Lets a quarter of L2 hold so many floats for each line of a band.
  void limit_band(std::int64_t floats) {
    const auto l2 = static_cast<std::int64_t>(l2_cache_bytes() / sizeof(float));
    band = std::clamp<std::int64_t>(l2 / 4 / floats / 2 * 2, 2, band);
  }
  // Lines that the windows of a band read, of the second of two lines at a time.
  std::int64_t band_rows() const { return std::min(round_up(out.h, 2), band) + p.kernel_h - 1; }
  // Whether the pictures themselves are such bands.
  bool are_bands() const {
    return p.pad_top == 0 && p.pad_bottom == 0 && row == in.w * p.in_channels;
  }
  // `rows` lines from the padded line `first` on, to memory that is zero left and right of them.
  void copy(const float* x, std::int64_t first, std::int64_t rows, float* to) const {
    const std::int64_t line = in.w * p.in_channels;
    const std::int64_t above = std::clamp<std::int64_t>(p.pad_top - first, 0, rows);
    const std::int64_t begin = std::min(first + above - p.pad_top, in.h);
    const std::int64_t seen = std::min(rows - above, in.h - begin);
    to += p.pad_left * p.in_channels;
    for (std::int64_t i = 0; i < rows; ++i) {
      if (i < above || i >= above + seen) std::fill_n(to + i * row, line, 0.0f);
    }
    plane_kernels().copy_lines(x + begin * line, seen, line, to + above * row, row);
  }

  // f(band of x, lines, number of the first among those of all pictures, scratch) for all lines of
  // the result, each of `step` lines of the convolution, two of which are computed together.
  template <class F>
  void each_band(std::int64_t batch, std::int64_t step, std::int64_t scratch_floats, const float* x,
                 const F& f) const {
    constexpr std::int64_t kGrain = std::int64_t{1} << 18;  // multiply-adds worth a thread
    const std::int64_t lines = out.h / step, most = band / step, bands = ceil_div(lines, most);
    const std::int64_t tasks = batch * bands;
    const std::int64_t worth = std::max<std::int64_t>(1, batch * macs() / kGrain);
    const int members = static_cast<int>(std::min<std::int64_t>({get_num_threads(), tasks, worth}));
    const std::int64_t strip = are_bands() ? 0 : (band_rows() + 1) * row;
    const std::int64_t mine = round_up(strip, 16) + round_up(scratch_floats, 16) + 16;
    Scratch memory(members * mine);
    parallel_team(members, [&](int member) {
      float* padded = memory.data() + member * mine;
      std::fill_n(padded, strip, 0.0f);
      const Range range = split(tasks, members, member);
      for (std::int64_t task = range.begin; task < range.end; ++task) {
        const std::int64_t image = task / bands, first = task % bands * most;
        const std::int64_t count = std::min(most, lines - first);
        const float* from = x + image * picture();
        if (strip == 0) {
          from += step * first * row;
        } else {
          // Up to the last line that a window reads, of the second of two lines at a time.
          copy(from, step * first, round_up(step * count, 2) + p.kernel_h - 1, padded);
          from = padded;
        }
        f(from, count, image * lines + first, padded + round_up(strip, 16));
      }
    });
  }
};

}  // namespace fastconv
