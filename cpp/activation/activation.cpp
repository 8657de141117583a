#include "activation/activation.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kGrain = 16384;    // floats of simple work that are worth a thread
constexpr std::int64_t kExpGrain = 4096;  // the same for exponentials
constexpr std::int64_t kMaxPieces = 256;  // of a sum over rows

void require_size(const char* operation, std::int64_t size) {
  if (size < 0) fail(operation, "sizes must not be negative", {{"size", size}});
}

// One slope for all elements is one run, whichever way its elements are counted.
ChannelShape simplified(const char* operation, const ChannelShape& s) {
  if (s.outer < 0 || s.channels < 0 || s.inner < 0) {
    fail(operation, "sizes must not be negative",
         {{"outer", s.outer}, {"channels", s.channels}, {"inner", s.inner}});
  }
  return s.channels == 1 ? ChannelShape{1, 1, s.outer * s.inner} : s;
}

}  // namespace

void activate(Activation f, std::int64_t size, const float* x, float* y) {
  require_size("activate", size);
  const auto kernel = activation_kernels().activate;
  parallel_for(size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel(f, end - begin, x + begin, y + begin);
  });
}

void activate_backward(Activation f, std::int64_t size, const float* grad_y, const float* x,
                       float* grad_x) {
  require_size("activate_backward", size);
  const auto kernel = activation_kernels().activate_backward;
  parallel_for(size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel(f, end - begin, grad_y + begin, x + begin, grad_x + begin);
  });
}

void sigmoid(std::int64_t size, const float* x, float* y) {
  require_size("sigmoid", size);
  const auto kernel = activation_kernels().sigmoid;
  parallel_for(size, kExpGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel(end - begin, x + begin, y + begin);
  });
}

void sigmoid_backward(std::int64_t size, const float* grad_y, const float* y, float* grad_x) {
  require_size("sigmoid_backward", size);
  const auto kernel = activation_kernels().sigmoid_backward;
  parallel_for(size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel(end - begin, grad_y + begin, y + begin, grad_x + begin);
  });
}

void tanh(std::int64_t size, const float* x, float* y) {
  require_size("tanh", size);
  const auto kernel = activation_kernels().tanh;
  parallel_for(size, kExpGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel(end - begin, x + begin, y + begin);
  });
}

void tanh_backward(std::int64_t size, const float* grad_y, const float* y, float* grad_x) {
  require_size("tanh_backward", size);
  const auto kernel = activation_kernels().tanh_backward;
  parallel_for(size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel(end - begin, grad_y + begin, y + begin, grad_x + begin);
  });
}

void prelu(const ChannelShape& shape, const float* x, const float* slope, float* y) {
  const ChannelShape s = simplified("prelu", shape);
  if (s.outer * s.channels * s.inner == 0) return;
  if (s.channels == 1) return activate({Activation::leaky_relu, slope[0], 0}, s.inner, x, y);
  const auto& kernels = activation_kernels();
  if (s.inner == 1) {
    parallel_for(s.outer, kGrain / s.channels, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t first = begin * s.channels;
      kernels.prelu_rows(end - begin, s.channels, x + first, slope, y + first);
    });
    return;
  }
  parallel_for(s.outer * s.channels, kGrain / s.inner, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Activation f{Activation::leaky_relu, slope[i % s.channels], 0};
      kernels.activate(f, s.inner, x + i * s.inner, y + i * s.inner);
    }
  });
}

// Sums are cut into pieces by the shape alone, and the pieces added in order, in double.
void prelu_backward(const ChannelShape& shape, const float* grad_y, const float* x,
                    const float* slope, float* grad_x, float* grad_slope) {
  const ChannelShape s = simplified("prelu_backward", shape);
  const std::int64_t outer = s.outer, channels = s.channels, inner = s.inner;
  const auto& kernels = activation_kernels();
  if (outer * channels * inner == 0) {
    std::fill(grad_slope, grad_slope + channels, 0.0f);
    return;
  }
  // Piece p of the sum of channel c is parts[p * channels + c].
  std::int64_t pieces;
  if (inner == 1) {
    pieces = std::clamp<std::int64_t>(outer * channels / kGrain, 1, std::min(outer, kMaxPieces));
  } else {
    pieces = checked_mul("prelu_backward", outer, ceil_div(inner, kGrain));
  }
  Scratch scratch(checked_mul("prelu_backward", pieces, channels));
  float* parts = scratch.data();
  if (inner == 1) {
    parallel_for(pieces, kGrain * pieces / (outer * channels),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t p = begin; p < end; ++p) {
                     const Range rows = split(outer, pieces, p);
                     const std::int64_t first = rows.begin * channels;
                     kernels.prelu_backward_rows(rows.size(), channels, grad_y + first, x + first,
                                                 slope, grad_x + first, parts + p * channels);
                   }
                 });
  } else {
    const std::int64_t cuts = pieces / outer;
    parallel_for(pieces * channels, kGrain * cuts / inner,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end; ++i) {
                     const std::int64_t run = i / cuts, c = run % channels;
                     const Range range = split(inner, cuts, i % cuts);
                     const std::int64_t first = run * inner + range.begin;
                     const std::int64_t p = run / channels * cuts + i % cuts;
                     parts[p * channels + c] = kernels.prelu_backward_run(
                         range.size(), slope[c], grad_y + first, x + first, grad_x + first);
                   }
                 });
  }
  for (std::int64_t c = 0; c < channels; ++c) {
    double total = 0;
    for (std::int64_t p = 0; p < pieces; ++p) total += parts[p * channels + c];
    grad_slope[c] = static_cast<float>(total);
  }
}

}  // namespace fastconv
