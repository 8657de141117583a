// A convolution of stride s as one of stride 1: pixel (Y, X) of the picture's phases has channel c
// of the padded picture's pixel (s Y + dy, s X + dx) as its channel (dy, dx, c), and a kernel of k
// lines has ceil(k / s) of them. A 7x7 kernel of stride 2 over 3 channels is one of 4x4 over 12,
// which Winograd's algorithms serve.
#pragma once

#include <cstdint>
#include <vector>

#include "core/dispatch.hpp"
#include "fastconv/conv.hpp"

namespace fastconv {

struct PhaseKernels {
  // `count` runs of `floats` each, one behind another -> runs that begin to_stride floats apart.
  void (*spread)(const float* from, std::int64_t floats, std::int64_t count, float* to,
                 std::int64_t to_stride);
};

FASTCONV_DECLARE_KERNELS(PhaseKernels, phase_kernels)

// The convolution over the phases, whose padding is theirs.
Conv2dParams over_phases(const Conv2dParams& params);

// Its weights, zeros where the kernel ends before its last phases.
std::vector<float> phase_weights(const Conv2dParams& params, const float* weight);

// Reads squares of the phases' picture.
class PhaseReader {
 public:
  // side: the pixels of a line. memory: memory_floats() floats.
  PhaseReader(const Conv2dParams& params, std::int64_t side, float* memory);
  static std::int64_t memory_floats(const Conv2dParams& params, std::int64_t side);

  // Reads the square whose first pixel begins at (y, x) of a picture in pixels x_pixel floats
  // apart; what lies outside of the picture is zero.
  void read(const float* picture, std::int64_t x_pixel, PictureSize in, std::int64_t y,
            std::int64_t x);

  // Whether no vector of a pixel comes from more than two lines of the picture.
  bool in_two_lines(std::int64_t lanes) const;
  // Whether a square lies in a dense picture.
  bool inside(std::int64_t x_pixel, PictureSize in, std::int64_t y, std::int64_t x) const {
    const std::int64_t pixels = side_ * stride_;
    return x_pixel == channels_ && y >= 0 && x >= 0 && y + pixels <= in.h && x + pixels <= in.w;
  }

  const float* pixel(std::int64_t i) const { return square_ + i * pixel_floats_; }

 private:
  std::int64_t stride_, channels_, side_, pixel_floats_;
  float* square_;
  float* line_;  // of the picture, where it has to be put together
};

}  // namespace fastconv
