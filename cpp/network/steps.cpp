// Building a network: every step is checked here, once, and then bound to what it runs.
#include <cstring>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "core/threads.hpp"
#include "fastconv/elementwise.hpp"
#include "fastconv/layout.hpp"
#include "network/network.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kGrain = 16384;  // floats worth a thread

void require_dense(const char* operation, const View& view) {
  if (!view.dense()) {
    fail(operation, "the step needs dense views", {{"pixel", view.pixel}, {"channels", view.c}});
  }
}

void require_equal(const char* operation, const char* name, std::int64_t value,
                   std::int64_t expected) {
  if (value != expected) {
    fail(operation, std::string("the views of a step must have fitting ") + name,
         {{"received", value}, {"expected", expected}});
  }
}

void require_size(const char* operation, const View& y, std::int64_t n, std::int64_t h,
                  std::int64_t w, std::int64_t c) {
  require_equal(operation, "pictures", y.n, n);
  require_equal(operation, "heights", y.h, h);
  require_equal(operation, "widths", y.w, w);
  require_equal(operation, "channels", y.c, c);
}

PoolShape pool_shape(const View& x, const View& y) {
  return {x.n, x.h, x.w, x.c, x.pixel, y.pixel};
}

std::vector<float> copied(const float* values, std::int64_t count) {
  return std::vector<float>(values, values + count);
}

void copy_pixels(const View& from, const float* x, const View& to, float* y) {
  const std::size_t bytes = static_cast<std::size_t>(from.c) * sizeof(float);
  if (bytes == 0) return;
  parallel_for(from.pixels(), kGrain / from.c, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::memcpy(y + i * to.pixel, x + i * from.pixel, bytes);
    }
  });
}

// Fails unless the view is well formed and lies in a memory of `size` floats.
void check_bounds(const char* operation, const View& view, std::int64_t size) {
  if (view.offset < 0 || view.n < 0 || view.h < 0 || view.w < 0 || view.c < 0) {
    fail(operation, "sizes must not be negative",
         {{"offset", view.offset}, {"n", view.n}, {"h", view.h}, {"w", view.w}, {"c", view.c}});
  }
  if (view.pixel < view.c) {
    fail(operation, "pixels of a view must not overlap",
         {{"pixel", view.pixel}, {"channels", view.c}});
  }
  const std::int64_t pixels =
      checked_mul(operation, checked_mul(operation, view.n, view.h), view.w);
  if (pixels == 0 || view.c == 0) return;
  const std::int64_t last = checked_mul(operation, pixels - 1, view.pixel);
  if (view.c > size || view.offset > size - view.c || last > size - view.c - view.offset) {
    fail(operation, "a view must lie in its memory",
         {{"offset", view.offset}, {"pixels", pixels}, {"pixel", view.pixel}, {"memory", size}});
  }
}

// Fails unless the axes are those of `result` floats and lead to none outside `operand` floats.
void check_axes(const char* operation, const std::vector<StridedAxis>& axes,
                std::int64_t StridedAxis::* step, std::int64_t operand, std::int64_t result) {
  std::int64_t total = 1;
  for (const StridedAxis& axis : axes) {
    if (axis.size < 0 || axis.*step < 0) {
      fail(operation, "sizes must not be negative", {{"size", axis.size}, {"step", axis.*step}});
    }
    total = checked_mul(operation, total, axis.size);
  }
  require_equal(operation, "sizes", result, total);
  if (axes.empty()) fail(operation, "there must be an axis");
  if (total == 0) return;
  std::int64_t last = 0;
  for (const StridedAxis& axis : axes) {
    const std::int64_t reach = checked_mul(operation, axis.size - 1, axis.*step);
    if (reach >= operand - last) {
      fail(operation, "an operand must lie in its memory",
           {{"size", axis.size}, {"step", axis.*step}, {"memory", operand}});
    }
    last += reach;
  }
}

}  // namespace

void Network::Impl::check_read(const char* operation, const View& view) const {
  switch (view.memory) {
    case View::Memory::input:
      return check_bounds(operation, view, input.floats());
    case View::Memory::output:
      return check_bounds(operation, view, output_floats);
    case View::Memory::arena:
      return check_bounds(operation, view, arena_floats);
    case View::Memory::turn:
      if (stretches.empty() || !stretches.back().turns) {
        fail(operation, "a turn's memory is for the steps of a turn");
      }
      return check_bounds(operation, view, turn_floats);
  }
}

void Network::Impl::check_write(const char* operation, const View& view) const {
  if (view.memory == View::Memory::input) fail(operation, "the input must not be written to");
  check_read(operation, view);
}

void Network::Impl::check_dense(const char* operation, const View& x, const View& y) const {
  check_read(operation, x);
  check_write(operation, y);
  require_dense(operation, x);
  require_dense(operation, y);
  require_equal(operation, "sizes", y.floats(), x.floats());
}

void Network::Impl::add(Step step) {
  if (stretches.empty()) stretches.push_back({{0}, 0, false});
  steps.push_back(std::move(step));
  stretches.back().end = steps.size();
}

void Network::begin_turn() {
  std::vector<Impl::Stretch>& stretches = impl_->stretches;
  if (stretches.empty() || !stretches.back().turns) stretches.push_back({{}, 0, true});
  stretches.back().starts.push_back(impl_->steps.size());
  stretches.back().end = impl_->steps.size();
}

void Network::end_turns() {
  impl_->stretches.push_back({{impl_->steps.size()}, impl_->steps.size(), false});
}

std::shared_ptr<const NextWeights> Network::Impl::announce(const NextWeights& weights) {
  if (last_next != nullptr) *last_next = weights;
  last_next = std::make_shared<NextWeights>();
  return last_next;
}

void Network::add_conv2d(std::shared_ptr<const PackedConv2d> conv, const View& x,
                         const View* residual, const View& y, bool pools) {
  constexpr const char* op = "conv2d";
  impl_->check_read(op, x);
  impl_->check_write(op, y);
  const Conv2dParams& p = conv->params();
  require_equal(op, "channels", x.c, p.in_channels);
  PictureSize size = conv2d_output_size(p, x.n, {x.h, x.w});
  if (pools) size = {size.h / 2, size.w / 2};
  require_size(op, y, x.n, size.h, size.w, p.out_channels);
  const bool adds = residual != nullptr;
  if (pools && adds) fail(op, "with pooling, there must be no residual");
  const View added = adds ? *residual : y;
  if (adds) {
    impl_->check_read(op, added);
    require_size(op, added, y.n, y.h, y.w, y.c);
    require_equal(op, "pixel strides", added.pixel, y.pixel);
  }
  auto next = impl_->announce(conv->weights());
  if (pools) {
    impl_->add([conv = std::move(conv), next = std::move(next), x, y](const Memories& at) {
      conv->run_pooled(at.read(x), x.pixel, x.n, {x.h, x.w}, at.write(y), y.pixel, *next);
    });
    return;
  }
  impl_->add(
      [conv = std::move(conv), next = std::move(next), x, y, added, adds](const Memories& at) {
        conv->run(at.read(x), x.pixel, x.n, {x.h, x.w}, adds ? at.read(added) : nullptr,
                  at.write(y), y.pixel, *next);
      });
}

void Network::add_conv2d_max_pool2d(std::shared_ptr<const PooledConv2d> conv, const View& x,
                                    const View& y) {
  constexpr const char* op = "conv2d";
  impl_->check_read(op, x);
  impl_->check_write(op, y);
  require_dense(op, x);
  require_equal(op, "channels", x.c, conv->params().in_channels);
  const PictureSize size = conv->output_size(x.n, {x.h, x.w});
  require_size(op, y, x.n, size.h, size.w, conv->params().out_channels);
  impl_->add([conv = std::move(conv), x, y](const Memories& at) {
    conv->run(at.read(x), x.n, {x.h, x.w}, at.write(y), y.pixel);
  });
}

void Network::add_linear(std::shared_ptr<const PackedLinear> linear, const View& x, const View& y) {
  constexpr const char* op = "linear";
  impl_->check_read(op, x);
  impl_->check_write(op, y);
  require_dense(op, x);
  require_dense(op, y);
  require_equal(op, "features", x.c, linear->in_features());
  require_equal(op, "features", y.c, linear->out_features());
  require_equal(op, "rows", y.pixels(), x.pixels());
  auto next = impl_->announce(linear->weights());
  impl_->add([linear = std::move(linear), next = std::move(next), x, y](const Memories& at) {
    linear->run(at.read(x), x.pixels(), at.write(y), *next);
  });
}

void Network::add_max_pool2d(const PoolWindow& window, const View& x, const View& y) {
  constexpr const char* op = "max_pool2d";
  impl_->check_read(op, x);
  impl_->check_write(op, y);
  const PoolSize size = pool_output_size(op, {x.h, x.w}, window);
  require_size(op, y, x.n, size.h, size.w, x.c);
  impl_->add(
      [=](const Memories& at) { max_pool2d(pool_shape(x, y), window, at.read(x), at.write(y)); });
}

void Network::add_avg_pool2d(const PoolWindow& window, const View& x, const View& y) {
  constexpr const char* op = "avg_pool2d";
  impl_->check_read(op, x);
  impl_->check_write(op, y);
  const PoolSize size = pool_output_size(op, {x.h, x.w}, window);
  require_size(op, y, x.n, size.h, size.w, x.c);
  impl_->add(
      [=](const Memories& at) { avg_pool2d(pool_shape(x, y), window, at.read(x), at.write(y)); });
}

void Network::add_adaptive_avg_pool2d(const View& x, const View& y) {
  constexpr const char* op = "adaptive_avg_pool2d";
  impl_->check_read(op, x);
  impl_->check_write(op, y);
  require_size(op, y, x.n, y.h, y.w, x.c);
  impl_->add([=](const Memories& at) {
    adaptive_avg_pool2d(pool_shape(x, y), {y.h, y.w}, at.read(x), at.write(y));
  });
}

void Network::add_local_response_norm(const LocalResponse& response, const View& x, const View& y) {
  impl_->check_dense("local_response_norm", x, y);
  require_equal("local_response_norm", "channels", y.c, x.c);
  impl_->add([=](const Memories& at) {
    local_response_norm({x.pixels(), x.c}, response, at.read(x), at.write(y));
  });
}

void Network::add_affine(const float* scale, const float* shift, Activation activation,
                         const View& x, const View& y) {
  impl_->check_dense("affine", x, y);
  require_equal("affine", "channels", y.c, x.c);
  // As a batch norm of mean 0 and variance 1.
  impl_->add([=, scales = copied(scale, x.c), shifts = copied(shift, x.c),
              zeros = std::vector<float>(static_cast<std::size_t>(x.c), 0.0f),
              ones = std::vector<float>(static_cast<std::size_t>(x.c), 1.0f)](const Memories& at) {
    batch_norm({x.pixels(), x.c}, at.read(x), zeros.data(), ones.data(), scales.data(),
               shifts.data(), 0.0f, activation, at.write(y));
  });
}

void Network::add_activation(Activation activation, const View& x, const View& y) {
  impl_->check_dense("activation", x, y);
  impl_->add(
      [=](const Memories& at) { activate(activation, x.floats(), at.read(x), at.write(y)); });
}

void Network::add_sigmoid(const View& x, const View& y) {
  impl_->check_dense("sigmoid", x, y);
  impl_->add([=](const Memories& at) { sigmoid(x.floats(), at.read(x), at.write(y)); });
}

void Network::add_tanh(const View& x, const View& y) {
  impl_->check_dense("tanh", x, y);
  impl_->add([=](const Memories& at) { fastconv::tanh(x.floats(), at.read(x), at.write(y)); });
}

void Network::add_prelu(const ChannelShape& shape, const float* slope, const View& x,
                        const View& y) {
  impl_->check_dense("prelu", x, y);
  require_equal(
      "prelu", "sizes", x.floats(),
      checked_mul("prelu", checked_mul("prelu", shape.outer, shape.channels), shape.inner));
  impl_->add([=, slopes = copied(slope, shape.channels)](const Memories& at) {
    prelu(shape, at.read(x), slopes.data(), at.write(y));
  });
}

void Network::add_addition(Activation activation, const View& a, const View& b, const View& y) {
  impl_->check_dense("add", a, y);
  impl_->check_dense("add", b, y);
  impl_->add([=](const Memories& at) {
    add(activation, y.floats(), at.read(a), at.read(b), at.write(y));
  });
}

void Network::add_arithmetic(Arithmetic f, std::vector<StridedAxis> axes, const View* a,
                             const View* b, const float* constant, std::int64_t count,
                             const View& y) {
  constexpr const char* op = "arithmetic";
  for (const View* view : {a, b}) {
    if (view == nullptr) continue;
    impl_->check_read(op, *view);
    require_dense(op, *view);
  }
  impl_->check_write(op, y);
  require_dense(op, y);
  check_axes(op, axes, &StridedAxis::a, a == nullptr ? count : a->floats(), y.floats());
  check_axes(op, axes, &StridedAxis::b, b == nullptr ? count : b->floats(), y.floats());
  const bool has_a = a != nullptr, has_b = b != nullptr;
  impl_->add([=, axes = std::move(axes), view_a = has_a ? *a : y, view_b = has_b ? *b : y,
              held = copied(constant, has_a && has_b ? 0 : count)](const Memories& at) {
    arithmetic(f, axes, has_a ? at.read(view_a) : held.data(),
               has_b ? at.read(view_b) : held.data(), at.write(y));
  });
}

void Network::add_gather(std::vector<StridedAxis> axes, std::int64_t first, const View& x,
                         const View& y) {
  constexpr const char* op = "gather";
  impl_->check_read(op, x);
  impl_->check_write(op, y);
  require_dense(op, x);
  require_dense(op, y);
  if (first < 0) fail(op, "sizes must not be negative", {{"first", first}});
  check_axes(op, axes, &StridedAxis::a, x.floats() - first, y.floats());
  impl_->add([=, axes = std::move(axes)](const Memories& at) {
    gather(axes, at.read(x) + first, at.write(y));
  });
}

void Network::add_take(std::vector<std::int64_t> channels, const View& x, const View& y) {
  constexpr const char* op = "take";
  impl_->check_read(op, x);
  impl_->check_write(op, y);
  require_dense(op, x);
  require_dense(op, y);
  require_size(op, y, x.n, x.h, x.w, static_cast<std::int64_t>(channels.size()));
  for (std::int64_t channel : channels) {
    if (channel < 0 || channel >= x.c) {
      fail(op, "channels must be those of x", {{"channel", channel}, {"channels", x.c}});
    }
  }
  impl_->add([=, channels = std::move(channels)](const Memories& at) {
    take(x.pixels(), x.c, channels, at.read(x), at.write(y));
  });
}

void Network::add_softmax(const SoftmaxShape& shape, bool logarithm, const View& x, const View& y) {
  const char* op = logarithm ? "log_softmax" : "softmax";
  impl_->check_dense(op, x, y);
  require_equal(op, "sizes", x.floats(),
                checked_mul(op, checked_mul(op, shape.outer, shape.classes), shape.inner));
  impl_->add([=](const Memories& at) {
    (logarithm ? log_softmax : softmax)(shape, at.read(x), at.write(y));
  });
}

void Network::add_copy(const View& x, const View& y) {
  impl_->check_read("copy", x);
  impl_->check_write("copy", y);
  require_size("copy", y, x.n, x.h, x.w, x.c);
  impl_->add([=](const Memories& at) { copy_pixels(x, at.read(x), y, at.write(y)); });
}

void Network::add_pad(std::int64_t top, std::int64_t bottom, std::int64_t left, std::int64_t right,
                      float value, const View& x, const View& y) {
  const Pad p = {x.n, x.h, x.w, x.c, top, bottom, left, right};
  p.validate("pad");
  impl_->check_read("pad", x);
  impl_->check_write("pad", y);
  require_dense("pad", x);
  require_dense("pad", y);
  require_size("pad", y, x.n, p.padded_h(), p.padded_w(), x.c);
  impl_->add([=](const Memories& at) { pad(p, at.read(x), value, at.write(y)); });
}

void Network::add_to_nchw(const View& x, const View& y) {
  impl_->check_dense("to_nchw", x, y);
  impl_->add(
      [=](const Memories& at) { nhwc_to_nchw(x.n, x.c, x.h * x.w, at.read(x), at.write(y)); });
}

void Network::add_to_nhwc(const View& x, const View& y) {
  impl_->check_dense("to_nhwc", x, y);
  impl_->add(
      [=](const Memories& at) { nchw_to_nhwc(y.n, y.c, y.h * y.w, at.read(x), at.write(y)); });
}

}  // namespace fastconv
