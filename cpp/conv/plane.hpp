// Convolution of pictures with one channel, alone or with 2x2 max pooling of its result in the same
// pass, and the gradient of its weights.
//
// A first layer on grey pictures has few products for each pixel that it writes, and its few output
// channels would fill a part of a vector. So vectors run along the line here: two lines of the
// result stay in registers for some channels at a time, and of pooled ones only the maxima leave
// them. Windows 5 wide can have Winograd's F(2, 5) along the line, as in pairs.hpp.
#pragma once

#include <cstdint>
#include <vector>

#include "core/dispatch.hpp"
#include "fastconv/conv.hpp"

namespace fastconv {

// Lines of outputs of one picture. x is the picture with its padding, and may be read kPlaneSlack
// floats past the windows of a line, and a line further than those of an odd last one.
struct PlaneJob {
  const float*
      weight;  // (kernel_h, kernel_w, channels), or Winograd's (kLinePoints, kernel_h, channels)
  const float* bias;  // (channels), or null
  Activation activation;
  std::int64_t kernel_h, kernel_w, channels;
  std::int64_t x_row;                    // floats between lines of x
  std::int64_t lines, columns, y_pixel;  // of what is written
  float* scratch;                        // 2 * channels * plane_pitch(columns), on a line
  float* v;  // Winograd's scratch: kLinePoints * plane_point(columns) a line of x, on a line
};

// Lines of outputs again, whose gradients (lines, columns, channels) come with the x that they saw:
// of at most kPlaneChannels channels.
struct PlaneGradientJob {
  std::int64_t kernel_h, kernel_w, channels;
  std::int64_t x_row;
  std::int64_t lines, columns;
  float* copy;    // scratch: kPlaneChannels * (columns + 16)
  float* planes;  // scratch: lines * plane_gradient_channels * (columns + 16)
  float* sums;    // vectors of partial sums: kernel_h * kernel_w * plane_gradient_channels * 16
};

constexpr std::int64_t kPlaneSlack = 32;
constexpr std::int64_t kPlaneChannels = 8;

// Floats between lines of scratch: whole vectors then split no line of the cache.
inline std::int64_t plane_pitch(std::int64_t columns) {
  return (columns + kPlaneSlack + 15) / 16 * 16;
}

// Floats of one point of a transformed line: one for a pair of pixels.
inline std::int64_t plane_point(std::int64_t columns) { return (columns + 15) / 16 * 16; }

// At most; kernels work on two or three channels at a time.
inline std::int64_t plane_gradient_channels(std::int64_t channels) { return channels + 2; }

struct PlaneKernels {
  // `width` floats of each of some dense lines, to lines `pitch` floats apart.
  void (*copy_lines)(const float* from, std::int64_t lines, std::int64_t width, float* to,
                     std::int64_t pitch);
  void (*forward)(const PlaneJob& job, const float* x, float* y);
  void (*pooled)(const PlaneJob& job, const float* x, float* y);
  void (*winograd)(const PlaneJob& job, const float* x, float* y);  // pooled, too
  // Adds the gradient of the weights to the partial sums.
  void (*gradient)(const PlaneGradientJob& job, const float* x, const float* grad);
  // grad_weight[tap * ld + channel] = the partial sums, added up.
  void (*sum)(const PlaneGradientJob& job, float* grad_weight, std::int64_t ld);
};

FASTCONV_DECLARE_KERNELS(PlaneKernels, plane_kernels)

// Whether a convolution is one of those above; whether it is faster so than as a product of
// matrices, and then has a gradient here.
bool is_plane(const Conv2dParams& params);
bool plane_pays(const Conv2dParams& params);

// Weights (channels, taps) to (taps, channels), and the convolution with them. Where the result is
// pooled, y is a quarter as large.
enum class PlaneAlgorithm { forward, pooled, pooled_winograd };
std::vector<float> by_tap(const Conv2dParams& params, const float* weight);
void run_plane(const Conv2dParams& params, PlaneAlgorithm algorithm, std::int64_t batch,
               PictureSize in, const float* x, const float* weight, const float* bias,
               Activation activation, float* y, std::int64_t y_pixel);

// As conv2d and its gradient.
void plane_conv2d(const Conv2dParams& params, std::int64_t batch, PictureSize in, const float* x,
                  const float* weight, const float* bias, Activation activation, float* out);
void plane_backward_weight(const Conv2dParams& params, std::int64_t batch, PictureSize in,
                           const float* grad_out, const float* x, float* grad_weight);

}  // namespace fastconv
