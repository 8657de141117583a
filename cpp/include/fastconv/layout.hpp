// Moving elements: memory order, concatenation, padding. No output may overlap an input.
#pragma once

#include <cstdint>

namespace fastconv {

// x (images, channels, pixels) -> y (images, pixels, channels), both without gaps, and back.
void nchw_to_nhwc(std::int64_t images, std::int64_t channels, std::int64_t pixels, const float* x,
                  float* y);
void nhwc_to_nchw(std::int64_t images, std::int64_t channels, std::int64_t pixels, const float* x,
                  float* y);

// One of the matrices that concat sets side by side: (rows, columns) without gaps.
struct ConcatPart {
  const float* data;
  std::int64_t columns;
};

// Row r of y is row r of parts[0], then row r of parts[1], and so on. Joining along axis k takes
// the axes before k as rows and the others as columns: channels of NHWC maps are columns.
void concat(std::int64_t rows, const ConcatPart* parts, std::int64_t count, float* y);

// Images (n, h, w, c), and the rows and columns added around each.
struct Pad {
  std::int64_t n, h, w, c;
  std::int64_t top, bottom, left, right;

  std::int64_t padded_h() const { return top + h + bottom; }
  std::int64_t padded_w() const { return left + w + right; }
  void validate(const char* operation) const;
};

// y (n, padded_h, padded_w, c) is x (n, h, w, c) surrounded by `value`.
void pad(const Pad& p, const float* x, float value, float* y);

// grad_x (n, h, w, c) is the part of grad_y (n, padded_h, padded_w, c) inside the padding.
void pad_backward(const Pad& p, const float* grad_y, float* grad_x);

}  // namespace fastconv
