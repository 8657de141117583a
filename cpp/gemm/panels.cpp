#include "gemm/panels.hpp"

#include <algorithm>

namespace fastconv {
namespace {

// Calls f(panel, first column, columns) for every panel, on all threads.
template <class F>
void each_panel(const Panels& panels, const F& f) {
  const std::int64_t nr = panels.kernels->nr;
  const std::int64_t grain =
      std::max<std::int64_t>(1, 32768 / std::max<std::int64_t>(1, panels.stride()));
  parallel_for(panels.count(), grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      f(panels.data + p * panels.stride(), p * nr, std::min(nr, panels.n - p * nr));
    }
  });
}

}  // namespace

void Panels::pack(const float* src, std::int64_t k_stride, std::int64_t n_stride) const {
  each_panel(*this, [&](float* panel, std::int64_t first, std::int64_t columns) {
    kernels->pack(src + first * n_stride, k_stride, n_stride, k, columns, panel);
  });
}

void Panels::pack_taps(const float* src, std::int64_t channels, std::int64_t taps,
                       const std::vector<std::int64_t>& order) const {
  const std::int64_t n_stride = channels * taps;
  each_panel(*this, [&](float* panel, std::int64_t first, std::int64_t columns) {
    kernels->pack_taps(src + first * n_stride, n_stride, channels, taps, order.data(),
                       static_cast<std::int64_t>(order.size()), columns, panel);
  });
}

void Panels::pack_taps_back(const float* src, std::int64_t out_channels, std::int64_t in_channels,
                            std::int64_t taps, const std::vector<std::int64_t>& order) const {
  each_panel(*this, [&](float* panel, std::int64_t first, std::int64_t columns) {
    kernels->pack_taps_back(src + first * taps, in_channels * taps, out_channels, taps,
                            order.data(), static_cast<std::int64_t>(order.size()), columns, panel);
  });
}

}  // namespace fastconv
