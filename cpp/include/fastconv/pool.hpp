// Pooling of channels-last pictures: the maximum or the mean of each window, and the gradients.
//
// Pictures are (N, H, W, C): element (n, h, w, c) of x lies at ((n * H + h) * W + w) * x_pixel + c,
// and y (N, OH, OW, C) likewise with y_pixel, both in floats; indices and gradients are dense.
// Outputs are written whole and never read before; they may not overlap inputs. NaN goes through:
// a window that holds one gives NaN. Functions throw Error on sizes that break the rules below.
#pragma once

#include <cstdint>

namespace fastconv {

// How a size that the stride does not divide is rounded. Both ways of rounding up may add a window
// that starts past the input, in the bottom or right padding: `up` (PyTorch's ceil_mode) always
// drops it, `caffe` only if that picture is padded at all.
enum class PoolRounding { down, up, caffe };

// Padding is at most half the kernel. Output o of an axis reads the positions
//   o * stride - pad_before + k * dilation,  0 <= k < kernel,
// that lie in the input; there must be one at least.
struct PoolWindow {
  std::int64_t kernel_h = 1, kernel_w = 1;
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
  std::int64_t dilation_h = 1, dilation_w = 1;  // 1 for means
  PoolRounding rounding = PoolRounding::down;
  // Means divide by the window's area, cut off at the padding's outer edge; false: by the number
  // of input elements in it.
  bool count_include_pad = true;
};

struct PoolSize {
  std::int64_t h, w;
};

// Output size of pooling an h x w picture. `operation` begins the error message.
PoolSize pool_output_size(const char* operation, PoolSize input, const PoolWindow& window);

struct PoolShape {
  std::int64_t n, h, w, c;
  std::int64_t x_pixel = 0, y_pixel = 0;  // 0 means c
};

// indices (or null): where each maximum is, h * W + w in its input plane. The first one wins, in
// row-major order; the first NaN wins over all numbers. With indices H * W must fit 31 bits.
void max_pool2d(const PoolShape& shape, const PoolWindow& window, const float* x, float* y,
                std::int32_t* indices = nullptr);

// grad_x[indices] += grad_y over zeros. `output` is the size of grad_y's pictures. An index outside
// the input plane is an Error, and grad_x is then unspecified.
void max_pool2d_backward(const PoolShape& shape, PoolSize output, const float* grad_y,
                         const std::int32_t* indices, float* grad_x);
// The same with the window that gave the indices: faster where windows overlap little
// and channels are many.
void max_pool2d_backward(const PoolShape& shape, const PoolWindow& window, const float* grad_y,
                         const std::int32_t* indices, float* grad_x);

void avg_pool2d(const PoolShape& shape, const PoolWindow& window, const float* x, float* y);
void avg_pool2d_backward(const PoolShape& shape, const PoolWindow& window, const float* grad_y,
                         float* grad_x);

// Means of output.h x output.w windows that cover the picture: output o of an axis of length L
// with O outputs reads [floor(o * L / O), ceil((o + 1) * L / O)), as PyTorch does.
void adaptive_avg_pool2d(const PoolShape& shape, PoolSize output, const float* x, float* y);
void adaptive_avg_pool2d_backward(const PoolShape& shape, PoolSize output, const float* grad_y,
                                  float* grad_x);

// adaptive_avg_pool2d with one output.
void global_avg_pool2d(const PoolShape& shape, const float* x, float* y);

}  // namespace fastconv
