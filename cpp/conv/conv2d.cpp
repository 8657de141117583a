// Convolution: validation, the choice of an algorithm, packing, the forward pass.
#include "conv/conv2d.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "conv/depthwise.hpp"
#include "conv/phases.hpp"
#include "conv/plane.hpp"
#include "conv/winograd.hpp"
#include "core/costs.hpp"
#include "core/error.hpp"
#include "core/memory.hpp"
#include "core/recent.hpp"
#include "gemm/implicit.hpp"

namespace fastconv {

PictureSize conv2d_output_size(const Conv2dParams& p, std::int64_t batch, PictureSize in) {
  constexpr const char* op = "conv2d";
  if (p.groups < 1) fail(op, "groups must be at least 1", {{"groups", p.groups}});
  if (p.in_channels < 1 || p.out_channels < 1) {
    fail(op, "channels must be at least 1",
         {{"in_channels", p.in_channels}, {"out_channels", p.out_channels}});
  }
  if (p.kernel_h < 1 || p.kernel_w < 1) {
    fail(op, "kernel_size must be at least 1",
         {{"kernel_h", p.kernel_h}, {"kernel_w", p.kernel_w}});
  }
  if (p.stride_h < 1 || p.stride_w < 1) {
    fail(op, "stride must be at least 1", {{"stride_h", p.stride_h}, {"stride_w", p.stride_w}});
  }
  if (p.dilation_h < 1 || p.dilation_w < 1) {
    fail(op, "dilation must be at least 1",
         {{"dilation_h", p.dilation_h}, {"dilation_w", p.dilation_w}});
  }
  if (p.pad_top < 0 || p.pad_bottom < 0 || p.pad_left < 0 || p.pad_right < 0) {
    fail(op, "padding must not be negative",
         {{"top", p.pad_top},
          {"bottom", p.pad_bottom},
          {"left", p.pad_left},
          {"right", p.pad_right}});
  }
  if (p.in_channels % p.groups != 0) {
    fail(op, "groups must divide the channels of x",
         {{"groups", p.groups}, {"channels", p.in_channels}});
  }
  if (p.out_channels % p.groups != 0) {
    fail(op, "groups must divide the output channels",
         {{"groups", p.groups}, {"out_channels", p.out_channels}});
  }
  if (batch < 0 || in.h < 0 || in.w < 0) {
    fail(op, "sizes must not be negative", {{"batch", batch}, {"h", in.h}, {"w", in.w}});
  }
  // Geometry beyond this could overflow below, and no array reaches it.
  constexpr std::int64_t kLimit = std::int64_t{1} << 40;
  for (std::int64_t value :
       {p.kernel_h, p.kernel_w, p.stride_h, p.stride_w, p.dilation_h, p.dilation_w, p.pad_top,
        p.pad_bottom, p.pad_left, p.pad_right, in.h, in.w, batch, p.in_channels, p.out_channels}) {
    if (value > kLimit) fail(op, "the size of an array overflows 64 bits", {{"value", value}});
  }
  const std::int64_t padded_h = in.h + p.pad_top + p.pad_bottom;
  const std::int64_t padded_w = in.w + p.pad_left + p.pad_right;
  const std::int64_t extent_h = checked_mul(op, p.dilation_h, p.kernel_h - 1) + 1;
  const std::int64_t extent_w = checked_mul(op, p.dilation_w, p.kernel_w - 1) + 1;
  if (extent_h > padded_h || extent_w > padded_w) {
    fail(op, "the dilated kernel must fit the padded input",
         {{"kernel_h", extent_h},
          {"kernel_w", extent_w},
          {"input_h", padded_h},
          {"input_w", padded_w}});
  }
  const PictureSize out = {(padded_h - extent_h) / p.stride_h + 1,
                           (padded_w - extent_w) / p.stride_w + 1};
  const auto floats = [&](std::int64_t channels, PictureSize size) {
    return checked_mul(op, checked_mul(op, checked_mul(op, batch, channels), size.h), size.w);
  };
  checked_mul(op, floats(p.in_channels, in), 4);
  checked_mul(op, floats(p.out_channels, out), 4);
  return out;
}

namespace {

std::vector<std::int64_t> all_taps(const Conv2dParams& p) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(p.kernel_h * p.kernel_w));
  for (std::size_t t = 0; t < order.size(); ++t) order[t] = static_cast<std::int64_t>(t);
  return order;
}

// Packed weights of all groups, one after another.
struct GroupPanels {
  const TileKernels* kernels;
  std::int64_t k, n, groups;  // of one group

  explicit GroupPanels(const Conv2dParams& p)
      : kernels(&tile_kernels()),
        k(p.in_channels / p.groups * p.kernel_h * p.kernel_w),
        n(p.out_channels / p.groups),
        groups(p.groups) {}

  std::int64_t group_floats() const { return Panels::floats(*kernels, k, n); }
  std::int64_t floats() const { return groups * group_floats(); }
  Panels group(float* memory, std::int64_t g) const {
    return {kernels, memory + g * group_floats(), k, n};
  }
  void pack(const Conv2dParams& p, const float* weight, float* memory) const {
    const std::vector<std::int64_t> order = all_taps(p);
    for (std::int64_t g = 0; g < groups; ++g) {
      group(memory, g).pack_taps(weight + g * n * k, p.in_channels / p.groups,
                                 p.kernel_h * p.kernel_w, order);
    }
  }
};

// A picture's memory: its first pixel, and floats between pixels.
template <class T>
struct Pixels {
  T* data;
  std::int64_t stride;
};

void run_depthwise(const Conv2dParams& p, std::int64_t batch, PictureSize in, Pixels<const float> x,
                   const float* weight, const Epilogue& epilogue, Pixels<float> out) {
  const DepthwiseJob job = {p,      batch,    in,        conv2d_output_size(p, batch, in),
                            weight, x.stride, out.stride};
  const DepthwiseKernels& kernels = depthwise_kernels();
  parallel_for(batch * job.out.h, line_grain(p, job.out.w),
               [&](std::int64_t begin, std::int64_t end) {
                 kernels.forward(job, x.data, epilogue, begin, end, out.data);
               });
}

ImplicitGemm make_gemm(const Conv2dParams& p, std::int64_t batch, PictureSize in,
                       std::int64_t x_pixel, std::int64_t out_pixel) {
  const PictureSize size = conv2d_output_size(p, batch, in);
  ImplicitGemm gemm;
  gemm.images = batch;
  gemm.in_h = in.h;
  gemm.in_w = in.w;
  gemm.channels = p.in_channels / p.groups;
  gemm.in_pixel = x_pixel;
  gemm.in_row = in.w * x_pixel;
  gemm.in_image = in.h * gemm.in_row;
  gemm.out_h = size.h;
  gemm.out_w = size.w;
  gemm.out_pixel = out_pixel;
  gemm.out_row = size.w * out_pixel;
  gemm.out_image = size.h * gemm.out_row;
  gemm.step_h = p.stride_h;
  gemm.step_w = p.stride_w;
  for (std::int64_t i = 0; i < p.kernel_h; ++i) {
    for (std::int64_t j = 0; j < p.kernel_w; ++j) {
      gemm.taps.push_back({i * p.dilation_h - p.pad_top, j * p.dilation_w - p.pad_left});
    }
  }
  return gemm;
}

// The plan of one group.
GemmPlan make_plan(const Conv2dParams& p, std::int64_t batch, PictureSize in, std::int64_t x_pixel,
                   std::int64_t out_pixel, Activation activation, const GroupPanels& layout,
                   int threads) {
  ImplicitGemm gemm = make_gemm(p, batch, in, x_pixel, out_pixel);
  gemm.kernels = layout.kernels;
  gemm.k = layout.k;
  gemm.n = layout.n;
  gemm.activation = activation;
  return GemmPlan(gemm, threads);
}

// The part of an epilogue that starts at an output channel.
Epilogue from_channel(const Epilogue& e, std::int64_t first) {
  const auto from = [&](const float* p) { return p == nullptr ? p : p + first; };
  return {from(e.bias), from(e.residual), e.activation};
}

void run_groups(const GemmPlan& plan, const Conv2dParams& p, const GroupPanels& layout,
                const float* x, const float* panels, const Epilogue& epilogue, float* out,
                const NextWeights& next = {}) {
  for (std::int64_t g = 0; g < p.groups; ++g) {
    const std::int64_t first = g * layout.n;
    const Epilogue part = from_channel(epilogue, first);
    plan.run({x + g * (p.in_channels / p.groups), panels + g * layout.group_floats(), out + first,
              part.bias, part.residual,
              g + 1 < p.groups
                  ? NextWeights{panels + (g + 1) * layout.group_floats(), layout.group_floats()}
                  : next});
  }
}

// How many neighbouring pixels of few channels fill a vector together: they are one pixel of as
// many times the channels, in the same place, of a convolution whose kernel is as much wider. 1
// where there is nothing to gain.
std::int64_t neighbours(const Conv2dParams& p, std::int64_t batch, PictureSize in) {
  if (p.groups != 1 || p.dilation_w != 1 || p.kernel_w <= p.stride_w) return 1;
  if (batch < 1 || in.h == 0 || in.w == 0) return 1;
  const std::int64_t lanes = tile_kernels().lanes, width = conv2d_output_size(p, batch, in).w;
  for (std::int64_t count : {4, 3, 2}) {
    if (count * p.out_channels <= lanes && width % count == 0) return count;
  }
  return 1;
}

// That convolution: neighbour i's weights lie i strides further right.
PackedConv2d pack_neighbours(const Conv2dParams& p, const float* weight, const float* bias,
                             Activation activation, std::int64_t count) {
  Conv2dParams wide = p;
  wide.out_channels *= count;
  wide.kernel_w += (count - 1) * p.stride_w;
  wide.stride_w *= count;
  const std::int64_t lines = p.in_channels * p.kernel_h;  // of one output channel's kernel
  std::vector<float> weights(static_cast<std::size_t>(wide.out_channels * lines * wide.kernel_w));
  std::vector<float> biases;
  float* to = weights.data();
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t line = 0; line < p.out_channels * lines; ++line, to += wide.kernel_w) {
      std::copy_n(weight + line * p.kernel_w, p.kernel_w, to + i * p.stride_w);
    }
    if (bias != nullptr) biases.insert(biases.end(), bias, bias + p.out_channels);
  }
  return PackedConv2d(wide, weights.data(), bias == nullptr ? nullptr : biases.data(), activation);
}

// The choice is made for this many threads whatever their number, so that it, and with it every bit
// of the result, does not depend on it.
constexpr int kChoiceThreads = 2;

// Estimated cycles to write weights in the form that an algorithm wants, to L3 or memory.
double packing_cycles(std::int64_t floats) {
  return 2 * static_cast<double>(floats) / (kFromL3 * kChoiceThreads);
}

// Pixels of a tile each way; 0 where there are none.
int tile_of(ConvAlgorithm algorithm) {
  switch (algorithm) {
    case ConvAlgorithm::winograd2:
      return 2;
    case ConvAlgorithm::winograd4:
      return 4;
    case ConvAlgorithm::winograd6:
      return 6;
    default:
      return 0;
  }
}

// Of Winograd's algorithm on weights that are still to be packed: all before the run, or lazily.
struct FreshWinograd {
  Winograd::Source source = Winograd::Source::cache;
  double cycles;

  FreshWinograd(const Conv2dParams& group, int tile, std::int64_t batch, PictureSize in)
      : cycles(Winograd::cost(group, tile, batch, in, kChoiceThreads, source) +
               packing_cycles(Winograd::weight_floats(group, tile))) {
    if (group.stride_h > 1) return;
    const double lazy =
        Winograd::cost(group, tile, batch, in, kChoiceThreads, Winograd::Source::lazy);
    if (lazy < cycles) source = Winograd::Source::lazy, cycles = lazy;
  }
};

}  // namespace

ConvAlgorithm choose(ConvAlgorithm wanted, const Conv2dParams& p, std::int64_t batch,
                     PictureSize in, Weights weights) {
  const auto supports = [&](int tile) { return Winograd::supports(p, tile) && !is_depthwise(p); };
  if (tile_of(wanted) > 0 && !supports(tile_of(wanted))) {
    fail("conv2d",
         "winograd needs a square kernel of more than 2 and at most 5 (winograd6: 3) strides, "
         "dilation 1, and groups that are not depthwise",
         {{"kernel_h", p.kernel_h},
          {"kernel_w", p.kernel_w},
          {"stride_h", p.stride_h},
          {"stride_w", p.stride_w},
          {"dilation_h", p.dilation_h},
          {"dilation_w", p.dilation_w},
          {"groups", p.groups}});
  }
  if (wanted != ConvAlgorithm::fastest) return wanted;
  if (!supports(2)) return ConvAlgorithm::direct;
  if (batch < 1 || in.h == 0 || in.w == 0) return ConvAlgorithm::winograd4;
  const bool fresh = weights == Weights::fresh, far = weights == Weights::from_memory;
  const Conv2dParams group = one_group(p);
  const auto groups = static_cast<double>(p.groups);
  const GroupPanels layout(p);
  double best = make_plan(p, batch, in, p.in_channels, p.out_channels, {}, layout, kChoiceThreads)
                        .cycles(!far) *
                    groups +
                (fresh ? packing_cycles(layout.floats()) : 0.0);
  ConvAlgorithm algorithm = ConvAlgorithm::direct;
  for (const ConvAlgorithm with :
       {ConvAlgorithm::winograd2, ConvAlgorithm::winograd4, ConvAlgorithm::winograd6}) {
    const int tile = tile_of(with);
    // Fewer products than F(4, 3) has pay where products are dear, and memory is not.
    if (tile == 6 && (!supports(tile) || fma_rate() > 1)) continue;
    // More points than six each way lose digits, which training would carry from step to step.
    if (fresh && tile + over_phases(group).kernel_h - 1 > 6) continue;
    const auto source = far ? Winograd::Source::memory : Winograd::Source::cache;
    const double cost =
        groups * (fresh ? FreshWinograd(group, tile, batch, in).cycles
                        : Winograd::cost(group, tile, batch, in, kChoiceThreads, source));
    if (cost < best) {
      best = cost;
      algorithm = with;
    }
  }
  return algorithm;
}

ConvAlgorithm fastest_algorithm(const Conv2dParams& p, std::int64_t batch, PictureSize in,
                                bool weights_stay) {
  return choose(ConvAlgorithm::fastest, p, batch, in,
                weights_stay ? Weights::in_cache : Weights::from_memory);
}

struct PackedConv2d::Impl {
  Conv2dParams params;
  bool depthwise;
  GroupPanels layout;
  ConvAlgorithm algorithm = ConvAlgorithm::direct;
  AlignedBuffer weight, bias;
  std::vector<Winograd> winograd;  // one a group
  std::int64_t together = 1;       // pixels that `wide`, which fits pictures `wide_in` wide, joins
  std::int64_t wide_in = 0;
  std::unique_ptr<PackedConv2d> wide;
  Activation activation;
  Recent<GemmPlan> plans;  // by batch, size, pixel strides and threads

  void run_winograd(const float* x, std::int64_t x_pixel, std::int64_t batch, PictureSize in,
                    const Epilogue& epilogue, float* out, std::int64_t out_pixel,
                    const NextWeights& next, bool pools) const;
};

namespace {

const Conv2dParams& checked(const Conv2dParams& p) {
  // The smallest picture that the kernel fits.
  conv2d_output_size(p, 0,
                     {checked_mul("conv2d", p.dilation_h, p.kernel_h),
                      checked_mul("conv2d", p.dilation_w, p.kernel_w)});
  return p;
}

}  // namespace

PackedConv2d::PackedConv2d(const Conv2dParams& p, const float* weight, const float* bias,
                           Activation activation, ConvAlgorithm algorithm, std::int64_t batch,
                           PictureSize in, bool weights_stay)
    : impl_(new Impl{checked(p),
                     is_depthwise(p),
                     GroupPanels(p),
                     algorithm,
                     {},
                     {},
                     {},
                     1,
                     0,
                     nullptr,
                     activation,
                     {}}) {
  impl_->algorithm =
      choose(algorithm, p, batch, in, weights_stay ? Weights::in_cache : Weights::from_memory);
  if (impl_->depthwise) {
    impl_->weight = AlignedBuffer::lasting(p.out_channels * impl_->layout.k);
    transpose_small(weight, p.out_channels, impl_->layout.k, impl_->weight.data());
  } else if (impl_->algorithm != ConvAlgorithm::direct) {
    const int tile = tile_of(impl_->algorithm);
    const Conv2dParams group = one_group(p);
    for (std::int64_t g = 0; g < p.groups; ++g) {
      impl_->winograd.emplace_back(
          group, tile,
          weight + g * group.out_channels * group.in_channels * p.kernel_h * p.kernel_w);
    }
  } else {
    impl_->weight = AlignedBuffer::lasting(impl_->layout.floats());
    impl_->layout.pack(p, weight, impl_->weight.data());
    if (algorithm == ConvAlgorithm::fastest) impl_->together = neighbours(p, batch, in);
    if (impl_->together > 1) {
      impl_->wide_in = in.w;
      impl_->wide = std::make_unique<PackedConv2d>(
          pack_neighbours(p, weight, bias, activation, impl_->together));
    }
  }
  if (bias != nullptr) {
    impl_->bias = AlignedBuffer::lasting(p.out_channels);
    std::copy_n(bias, p.out_channels, impl_->bias.data());
  }
}

PackedConv2d::~PackedConv2d() = default;
PackedConv2d::PackedConv2d(PackedConv2d&&) noexcept = default;
PackedConv2d& PackedConv2d::operator=(PackedConv2d&&) noexcept = default;

const Conv2dParams& PackedConv2d::params() const { return impl_->params; }
ConvAlgorithm PackedConv2d::algorithm() const { return impl_->algorithm; }

void PackedConv2d::Impl::run_winograd(const float* x, std::int64_t x_pixel, std::int64_t batch,
                                      PictureSize in, const Epilogue& epilogue, float* out,
                                      std::int64_t out_pixel, const NextWeights& next,
                                      bool pools) const {
  const Conv2dParams group = one_group(params);
  for (std::size_t g = 0; g < winograd.size(); ++g) {
    const auto number = static_cast<std::int64_t>(g);
    const std::int64_t first = number * group.out_channels;
    winograd[g].run(x + number * group.in_channels, x_pixel, batch, in,
                    from_channel(epilogue, first), out + first, out_pixel,
                    g + 1 < winograd.size() ? winograd[g + 1].weights() : next, pools);
  }
}

void PackedConv2d::run(const float* x, std::int64_t batch, PictureSize in, const float* residual,
                       float* out) const {
  run(x, impl_->params.in_channels, batch, in, residual, out, impl_->params.out_channels);
}

void PackedConv2d::run(const float* x, std::int64_t x_pixel, std::int64_t batch, PictureSize in,
                       const float* residual, float* out, std::int64_t out_pixel,
                       const NextWeights& next) const {
  if (impl_->wide != nullptr && in.w == impl_->wide_in && out_pixel == impl_->params.out_channels) {
    impl_->wide->run(x, x_pixel, batch, in, residual, out, impl_->together * out_pixel, next);
    return;
  }
  const Epilogue epilogue = {impl_->bias.data(), residual, impl_->activation};
  const float* weight = impl_->weight.data();
  if (!impl_->winograd.empty()) {
    impl_->run_winograd(x, x_pixel, batch, in, epilogue, out, out_pixel, next, false);
  } else if (impl_->depthwise) {
    run_depthwise(impl_->params, batch, in, {x, x_pixel}, weight, epilogue, {out, out_pixel});
  } else {
    const int threads = get_num_threads();
    const auto plan = impl_->plans.get({batch, in.h, in.w, x_pixel, out_pixel, threads}, [&] {
      return make_plan(impl_->params, batch, in, x_pixel, out_pixel, epilogue.activation,
                       impl_->layout, threads);
    });
    run_groups(*plan, impl_->params, impl_->layout, x, weight, epilogue, out, next);
  }
}

void PackedConv2d::run_pooled(const float* x, std::int64_t x_pixel, std::int64_t batch,
                              PictureSize in, float* out, std::int64_t out_pixel,
                              const NextWeights& next) const {
  const Conv2dParams& p = impl_->params;
  const Activation& f = impl_->activation;
  const bool falls = f.kind == Activation::leaky_relu && f.a < 0;
  if (!impl_->winograd.empty() && p.stride_h == 1 && !falls) {
    const Epilogue epilogue = {impl_->bias.data(), nullptr, f};
    impl_->run_winograd(x, x_pixel, batch, in, epilogue, out, out_pixel, next, true);
    return;
  }
  const PictureSize size = conv2d_output_size(p, batch, in);
  Scratch y(batch * size.h * size.w * p.out_channels);
  run(x, x_pixel, batch, in, nullptr, y.data(), p.out_channels, next);
  PoolWindow window;
  window.kernel_h = window.kernel_w = window.stride_h = window.stride_w = 2;
  max_pool2d({batch, size.h, size.w, p.out_channels, 0, out_pixel}, window, y.data(), out);
}

NextWeights PackedConv2d::weights() const {
  if (impl_->wide != nullptr) return impl_->wide->weights();
  if (!impl_->winograd.empty()) return impl_->winograd.front().weights();
  if (impl_->depthwise) return {};
  return {impl_->weight.data(), impl_->layout.group_floats()};
}

void run_winograd(const Conv2dParams& p, ConvAlgorithm algorithm, Winograd::Side side,
                  std::int64_t batch, PictureSize in, const float* x, const float* weight,
                  const Epilogue& epilogue, float* out) {
  const int tile = tile_of(algorithm);
  const Conv2dParams group = one_group(p);
  const std::int64_t group_weights =
      group.out_channels * group.in_channels * p.kernel_h * p.kernel_w;
  const Winograd::Source source = FreshWinograd(group, tile, batch, in).source;
  const bool lazy = source == Winograd::Source::lazy;
  Scratch memory(lazy ? 0 : Winograd::weight_floats(group, tile));
  for (std::int64_t g = 0; g < p.groups; ++g) {
    const Winograd winograd(group, tile, weight + g * group_weights, side, source, memory.data());
    const std::int64_t first = g * group.out_channels;
    winograd.run(x + g * group.in_channels, p.in_channels, batch, in, from_channel(epilogue, first),
                 out + first, p.out_channels);
  }
}

bool run_neighbours(const Conv2dParams& p, std::int64_t batch, PictureSize in, const float* x,
                    const float* weight, const Epilogue& epilogue, float* out) {
  const std::int64_t together = neighbours(p, batch, in);
  if (together < 2) return false;
  pack_neighbours(p, weight, epilogue.bias, epilogue.activation, together)
      .run(x, batch, in, epilogue.residual, out);
  return true;
}

void conv2d(const Conv2dParams& p, std::int64_t batch, PictureSize in, const float* x,
            const float* weight, const Epilogue& epilogue, float* out, ConvAlgorithm wanted) {
  conv2d_output_size(p, batch, in);
  if (wanted == ConvAlgorithm::fastest && plane_pays(p) && epilogue.residual == nullptr) {
    return plane_conv2d(p, batch, in, x, weight, epilogue.bias, epilogue.activation, out);
  }
  const ConvAlgorithm algorithm = choose(wanted, p, batch, in, Weights::fresh);
  if (algorithm != ConvAlgorithm::direct) {
    return run_winograd(p, algorithm, Winograd::Side::forward, batch, in, x, weight, epilogue, out);
  }
  if (wanted == ConvAlgorithm::fastest && run_neighbours(p, batch, in, x, weight, epilogue, out)) {
    return;
  }
  if (is_depthwise(p)) {
    Scratch memory(p.out_channels * p.kernel_h * p.kernel_w);
    transpose_small(weight, p.out_channels, p.kernel_h * p.kernel_w, memory.data());
    run_depthwise(p, batch, in, {x, p.in_channels}, memory.data(), epilogue, {out, p.out_channels});
    return;
  }
  const GroupPanels layout(p);
  Scratch panels(layout.floats());
  layout.pack(p, weight, panels.data());
  const GemmPlan plan = make_plan(p, batch, in, p.in_channels, p.out_channels, epilogue.activation,
                                  layout, get_num_threads());
  run_groups(plan, p, layout, x, panels.data(), epilogue, out);
}

void check_backward(ConvAlgorithm algorithm) {
  if (algorithm != ConvAlgorithm::direct && algorithm != ConvAlgorithm::fastest) {
    fail("conv2d", "the algorithm of a gradient must be direct or fastest",
         {{"algorithm", static_cast<std::int64_t>(algorithm)}});
  }
}

}  // namespace fastconv
