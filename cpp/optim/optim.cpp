#include "fastconv/optim.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/threads.hpp"
#include "optim/optim.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kGrain = 16384;  // floats of simple work that are worth a thread
constexpr std::int64_t kSum = 16384;    // floats that are added up in single precision
constexpr std::int64_t kLine = 16;      // floats: threads share no line of an aligned array

// f(arrays, first, count) over pieces of all arrays; each thread gets as many floats as any other.
// Each float's arithmetic is its own, so that it does not matter where they are cut.
template <class F>
void for_pieces(const char* operation, std::int64_t count, const StepArrays* arrays, const F& f) {
  std::int64_t total = 0;
  for (std::int64_t k = 0; k < count; ++k) {
    if (arrays[k].size < 0) {
      fail(operation, "sizes must not be negative", {{"size", arrays[k].size}});
    }
    total += arrays[k].size;
  }
  parallel_for(total, kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t start = 0;
    for (std::int64_t k = 0; k < count && start < end; ++k) {
      const std::int64_t size = arrays[k].size;
      const auto cut = [=](std::int64_t at) {
        return at >= size ? size : std::max<std::int64_t>(0, at) / kLine * kLine;
      };
      const std::int64_t first = cut(begin - start), last = cut(end - start);
      if (first < last) f(arrays[k], first, last - first);
      start += size;
    }
  });
}

}  // namespace

void sgd_step(const Sgd& options, std::int64_t count, const StepArrays* arrays) {
  for (std::int64_t k = 0; k < count; ++k) {
    if (options.momentum != 0 && arrays[k].mean == nullptr && arrays[k].size > 0) {
      throw Error("sgd_step: momentum needs velocities (momentum=" +
                  std::to_string(options.momentum) + ")");
    }
  }
  SgdFactors f{};
  f.decay = static_cast<float>(options.weight_decay);
  f.gain = options.lr_in_velocity ? static_cast<float>(options.lr) : 1.0f;
  f.momentum = static_cast<float>(options.momentum);
  f.keep = static_cast<float>(1 - options.dampening);
  f.rate = options.lr_in_velocity ? 1.0f : static_cast<float>(options.lr);
  f.nesterov = options.nesterov;
  f.first = options.first;
  const auto kernel = optim_kernels().sgd;
  for_pieces("sgd_step", count, arrays, [&](const StepArrays& a, std::int64_t at, std::int64_t n) {
    kernel(f, n, a.param + at, a.grad + at, a.mean == nullptr ? nullptr : a.mean + at);
  });
}

void adam_step(const Adam& options, std::int64_t count, const StepArrays* arrays) {
  if (options.step < 1) fail("adam_step", "step must be at least 1", {{"step", options.step}});
  const double step = static_cast<double>(options.step);
  AdamFactors f{};
  f.decay = options.decoupled ? 0.0f : static_cast<float>(options.weight_decay);
  f.beta1 = static_cast<float>(options.beta1);
  f.rest1 = static_cast<float>(1 - options.beta1);
  f.beta2 = static_cast<float>(options.beta2);
  f.rest2 = static_cast<float>(1 - options.beta2);
  f.shrink = options.decoupled ? static_cast<float>(1 - options.lr * options.weight_decay) : 1.0f;
  f.rate = static_cast<float>(options.lr / (1 - std::pow(options.beta1, step)));
  f.root = static_cast<float>(1 / std::sqrt(1 - std::pow(options.beta2, step)));
  f.eps = static_cast<float>(options.eps);
  const auto kernel = optim_kernels().adam;
  for_pieces("adam_step", count, arrays, [&](const StepArrays& a, std::int64_t at, std::int64_t n) {
    kernel(f, n, a.param + at, a.grad + at, a.mean + at, a.square + at);
  });
}

void average_step(double decay, std::int64_t count, const StepArrays* arrays) {
  const float share = static_cast<float>(1 - decay);
  const auto kernel = optim_kernels().average;
  for_pieces("average_step", count, arrays,
             [&](const StepArrays& a, std::int64_t at, std::int64_t n) {
               kernel(share, n, a.param + at, a.grad + at);
             });
}

double sum_of_squares(std::int64_t count, const std::int64_t* sizes, const float* const* arrays) {
  struct Piece {
    const float* data;
    std::int64_t size;
  };
  std::vector<Piece> pieces;
  for (std::int64_t k = 0; k < count; ++k) {
    if (sizes[k] < 0) fail("sum_of_squares", "sizes must not be negative", {{"size", sizes[k]}});
    for (std::int64_t at = 0; at < sizes[k]; at += kSum) {
      pieces.push_back({arrays[k] + at, std::min(kSum, sizes[k] - at)});
    }
  }
  std::vector<double> sums(pieces.size());
  const auto kernel = optim_kernels().squares;
  parallel_for(static_cast<std::int64_t>(pieces.size()), kGrain / kSum,
               [&](std::int64_t begin, std::int64_t end) {
                 for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end);
                      ++i) {
                   sums[i] = kernel(pieces[i].size, pieces[i].data);
                 }
               });
  double total = 0;
  for (const double part : sums) total += part;
  return total;
}

}  // namespace fastconv
