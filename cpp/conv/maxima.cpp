#include "conv/maxima.hpp"

#include <algorithm>
#include <atomic>
#include <vector>

#include "conv/bands.hpp"
#include "conv/chunks.hpp"
#include "core/error.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kRow = 32;           // floats of a line of a window
constexpr std::int64_t kSlack = 16;         // floats, that whole vectors reach further
constexpr std::int64_t kManyPictures = 16;  // they are tasks
constexpr std::int64_t kChunk = std::int64_t{1} << 18, kChunks = 64;  // multiply-adds; at most
constexpr std::int64_t kBand = 6144;  // floats of x: a band stays in L1

// Tables and sizes of one call.
struct Layout {
  const Conv2dParams& p;
  const PoolWindow& window;
  PaddedPictures pictures;
  PoolSize pooled;

  Layout(const Conv2dParams& params, const PoolWindow& pool, std::int64_t batch, PictureSize in)
      : p(params),
        window(pool),
        pictures(params, batch, in, kSlack),
        pooled(pool_output_size("conv2d", {pictures.out.h, pictures.out.w}, pool)) {}

  // By element of the window, counted along lines of the convolution's output.
  template <class F>
  std::vector<std::int32_t> offsets(const F& offset) const {
    std::vector<std::int32_t> table(
        static_cast<std::size_t>((window.kernel_h - 1) * pictures.out.w + window.kernel_w), -1);
    for (std::int64_t i = 0; i < window.kernel_h; ++i) {
      for (std::int64_t j = 0; j < window.kernel_w; ++j) {
        table[static_cast<std::size_t>(i * pictures.out.w + j)] =
            static_cast<std::int32_t>(offset(i, j));
      }
    }
    return table;
  }
  // Lines of the maxima of a picture.
  Maxima lines(const float* grad, const std::int32_t* indices, std::int64_t image, Range of,
               const std::vector<std::int32_t>& table) const {
    const std::int64_t line = pooled.w * p.out_channels;
    const std::int64_t at = (image * pooled.h + of.begin) * line, width = pictures.out.w;
    return {grad + at,
            indices + at,
            of.size(),
            pooled.w,
            p.out_channels,
            of.begin * window.stride_h * width,
            window.stride_h * width,
            window.stride_w,
            table.data(),
            static_cast<std::int64_t>(table.size())};
  }
  std::int64_t line_x() const { return window.stride_h * pictures.row; }
  std::int64_t column_x() const { return window.stride_w * p.in_channels; }
};

void check(bool right) {
  if (!right) fail("conv2d", "indices must be those of the window's maxima", {});
}

}  // namespace

bool conv2d_maxima_pay(const Conv2dParams& p, const PoolWindow& w, std::int64_t batch,
                       PictureSize in) {
  const bool simple = p.groups == 1 && p.stride_h == 1 && p.stride_w == 1 && p.dilation_h == 1 &&
                      p.dilation_w == 1 && w.dilation_h == 1 && w.dilation_w == 1 &&
                      w.pad_top == 0 && w.pad_bottom == 0 && w.pad_left == 0 && w.pad_right == 0;
  const bool few = p.kernel_w * p.in_channels <= kRow && w.kernel_h <= 3 && w.kernel_w <= 3 &&
                   w.stride_h >= 2 && w.stride_w >= 2;
  if (!simple || !few || batch < kManyPictures) return false;
  const PictureSize out = conv2d_output_size(p, batch, in);
  const PoolSize pooled = pool_output_size("conv2d", {out.h, out.w}, w);
  // Rounded up, a last window may reach further than the picture.
  return (pooled.h - 1) * w.stride_h + w.kernel_h <= out.h &&
         (pooled.w - 1) * w.stride_w + w.kernel_w <= out.w;
}

// Pictures add to sums of their chunk, channel by channel, a band of lines at a time.
void conv2d_maxima_backward_weight(const Conv2dParams& p, const PoolWindow& window,
                                   std::int64_t batch, PictureSize in, const float* grad,
                                   const std::int32_t* indices, const float* x,
                                   float* grad_weight) {
  const Layout layout(p, window, batch, in);
  const PaddedPictures& pictures = layout.pictures;
  const std::int64_t row = pictures.row, width = p.kernel_w * p.in_channels;
  const std::int64_t taps = p.kernel_h * p.kernel_w, pitch = round_up(width, 16);
  const auto offsets =
      layout.offsets([&](std::int64_t i, std::int64_t j) { return i * row + j * p.in_channels; });

  const std::int64_t worth =
      batch * layout.pooled.h * layout.pooled.w * p.out_channels * taps * p.in_channels / kChunk;
  std::int64_t chunks = 1;
  while (chunks < std::min({worth, batch, kChunks})) chunks *= 2;  // even shares
  const std::int64_t lines = std::clamp<std::int64_t>(kBand / layout.line_x(), 1, layout.pooled.h);
  const std::int64_t strip =
      round_up(((lines - 1) * window.stride_h + window.kernel_h + p.kernel_h - 1) * row, 16);
  const std::int64_t own = p.out_channels * p.kernel_h * pitch;
  const SumBlock block = {{0, p.in_channels}, {0, p.out_channels}, p.in_channels, taps};
  const ChunkedGradient chunked = {
      chunks, chunks,
      strip + kSlack + own + SumBlock::own_floats(taps * p.in_channels, p.out_channels),
      round_up(p.out_channels, 16),
      static_cast<int>(std::min<std::int64_t>(get_num_threads(), chunks))};
  std::atomic<bool> right{true};
  sum_in_chunks(
      p, chunked, grad_weight,
      [&](std::int64_t chunk, std::int64_t, float* scratch, float* result, float* weights) {
        float* sums = scratch + strip + kSlack;
        std::fill_n(scratch, strip + kSlack + own, 0.0f);
        const Range images = split(batch, chunks, chunk);
        for (std::int64_t image = images.begin; image < images.end; ++image) {
          for (std::int64_t first = 0; first < layout.pooled.h; first += lines) {
            const Range band = {first, std::min(first + lines, layout.pooled.h)};
            const std::int64_t rows =
                (band.size() - 1) * window.stride_h + window.kernel_h + p.kernel_h - 1;
            pictures.copy(x + image * pictures.picture(), first * window.stride_h, rows, scratch);
            if (!maxima_kernels().multiply(layout.lines(grad, indices, image, band, offsets),
                                           scratch, row, layout.line_x(), layout.column_x(),
                                           p.kernel_h, width, sums, pitch)) {
              right = false;
            }
          }
        }
        const SumBlock::Rows to =
            result != nullptr ? block.among(result, chunked.ld) : block.own(sums + own);
        for (std::int64_t c = 0; c < p.out_channels; ++c) {
          for (std::int64_t i = 0; i < p.kernel_h; ++i) {
            const float* from = sums + (c * p.kernel_h + i) * pitch;
            for (std::int64_t j = 0; j < width; ++j) to.data[(i * width + j) * to.ld + c] = from[j];
          }
        }
        if (result == nullptr) block.write(to, weights);
      });
  check(right);
}

// Where a window's maximum lies is how far the kernel is moved in the patch of the picture that all
// of the window sees; kernels with zeros around them make that a matter of addresses.
void conv2d_maxima_backward_input(const Conv2dParams& p, const PoolWindow& window,
                                  std::int64_t batch, PictureSize in, const float* grad,
                                  const std::int32_t* indices, const float* weight, float* grad_x) {
  const Layout layout(p, window, batch, in);
  const PaddedPictures& pictures = layout.pictures;
  const std::int64_t row = pictures.row, taps = p.kernel_h * p.kernel_w, c = p.in_channels;
  const std::int64_t down = window.kernel_h - 1, right_by = (window.kernel_w - 1) * c;
  const std::int64_t rows = p.kernel_h + down, width = p.kernel_w * c + right_by;
  const std::int64_t w_row = round_up(round_up(width, 16) + right_by, 16);
  const std::int64_t w_channel = (rows + down) * w_row;
  const auto offsets = layout.offsets(
      [&](std::int64_t i, std::int64_t j) { return (down - i) * w_row + right_by - j * c; });

  const int members = static_cast<int>(std::min<std::int64_t>(get_num_threads(), batch));
  const std::int64_t height = pictures.out.h + p.kernel_h - 1, mine = round_up(height * row, 16);
  Scratch spaced(p.out_channels * w_channel), memory(members * mine);
  std::fill_n(spaced.data(), p.out_channels * w_channel, 0.0f);
  for (std::int64_t o = 0; o < p.out_channels; ++o) {
    float* kernel = spaced.data() + o * w_channel + down * w_row + right_by;
    for (std::int64_t t = 0; t < taps; ++t) {
      for (std::int64_t i = 0; i < c; ++i) {
        kernel[t / p.kernel_w * w_row + t % p.kernel_w * c + i] = weight[(o * c + i) * taps + t];
      }
    }
  }
  std::atomic<bool> right{true};
  parallel_team(members, [&](int member) {
    float* picture = memory.data() + member * mine;
    const Range images = split(batch, members, member);
    for (std::int64_t image = images.begin; image < images.end; ++image) {
      std::fill_n(picture, height * row, 0.0f);
      const Maxima maxima = layout.lines(grad, indices, image, {0, layout.pooled.h}, offsets);
      if (!maxima_kernels().scatter(maxima, spaced.data(), w_row, w_channel, rows, width, picture,
                                    row, layout.line_x(), layout.column_x())) {
        right = false;
      }
      for (std::int64_t y = 0; y < in.h; ++y) {
        std::copy_n(picture + (y + p.pad_top) * row + p.pad_left * c, in.w * c,
                    grad_x + (image * in.h + y) * in.w * c);
      }
    }
  });
  check(right);
}

}  // namespace fastconv
