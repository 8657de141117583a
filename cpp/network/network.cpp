// Running a network: its input brought into order, then step after step.
#include "network/network.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>

#include "core/error.hpp"
#include "core/threads.hpp"
#include "fastconv/layout.hpp"

namespace fastconv {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kGrain = 16384;  // bytes worth a thread

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Bytes to channels-last floats through a table of 256 values a channel.
void look_up(const NetworkInput& x, const View& to, const float* table, float* y) {
  const bool nhwc = x.order == PixelOrder::nhwc;
  const std::int64_t pixel_step = nhwc ? to.c : 1, channel_step = nhwc ? 1 : to.h * to.w;
  const std::int64_t line = to.w * to.c;
  parallel_for(to.n * to.h, kGrain / std::max<std::int64_t>(1, line),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const std::int64_t image = i / to.h * to.h * line;
                   const std::uint8_t* from = x.bytes + image + i % to.h * to.w * pixel_step;
                   float* into = y + i * line;
                   for (std::int64_t p = 0; p < to.w; ++p, from += pixel_step, into += to.c) {
                     for (std::int64_t k = 0; k < to.c; ++k) {
                       into[k] = table[k * 256 + from[k * channel_step]];
                     }
                   }
                 }
               });
}

// Whether NCHW and NHWC are the same order.
bool has_one_order(const View& input) { return input.c == 1 || input.h * input.w == 1; }

bool in_place(const NetworkInput& x, const View& input) {
  return x.floats != nullptr && (x.order == PixelOrder::nhwc || has_one_order(input));
}

}  // namespace

Network::Network(const View& input, std::int64_t output_floats, std::int64_t arena_floats,
                 int threads, std::int64_t turn_floats)
    : impl_(new Impl(input, output_floats, arena_floats, threads, turn_floats)) {
  if (output_floats < 0 || arena_floats < 0 || threads < 0 || turn_floats < 0) {
    fail("network", "sizes must not be negative",
         {{"output_floats", output_floats},
          {"arena_floats", arena_floats},
          {"threads", threads},
          {"turn_floats", turn_floats}});
  }
  if (!input.dense() || input.memory != View::Memory::arena) {
    fail("network", "the input must have a dense place in the arena",
         {{"pixel", input.pixel}, {"channels", input.c}});
  }
  if (!has_one_order(input)) impl_->check_write("network", input);
}

Network::~Network() = default;
Network::Network(Network&&) noexcept = default;
Network& Network::operator=(Network&&) noexcept = default;

void Network::set_byte_table(const float* table) {
  impl_->check_write("network", impl_->input);
  impl_->byte_table.assign(table, table + impl_->input.c * 256);
}

bool Network::takes_bytes() const { return !impl_->byte_table.empty(); }

std::int64_t Network::steps() const { return static_cast<std::int64_t>(impl_->steps.size()); }

void Network::run(const NetworkInput& x, float* y) const { run_timed(x, y, nullptr); }

// With seconds, the share of each step's time that counts.
void Network::Impl::run_steps(std::size_t begin, std::size_t end, const Memories& at,
                              double* seconds, double share) const {
  for (std::size_t i = begin; i < end; ++i) {
    const Clock::time_point start = seconds == nullptr ? Clock::time_point() : Clock::now();
    steps[i](at);
    if (seconds != nullptr) seconds[i] = since(start) * share;
  }
}

// Each thread takes the next turn that nobody has begun.
void Network::Impl::run_turns(const Stretch& stretch, const Memories& at, double* seconds) {
  const std::size_t turns = stretch.starts.size();
  const int members =
      static_cast<int>(std::min(static_cast<std::size_t>(get_num_threads()), turns));
  std::atomic<std::size_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr failure;
  parallel_team(members, [&](int) {
    try {
      const ThreadScope alone(1);
      ArenaPool::Lease turn(turn_memories);
      Memories mine = at;
      mine.turn = turn.data();
      for (std::size_t i; (i = next++) < turns;) {
        const std::size_t end = i + 1 < turns ? stretch.starts[i + 1] : stretch.end;
        run_steps(stretch.starts[i], end, mine, seconds, 1.0 / members);
      }
    } catch (...) {
      if (!failed.exchange(true)) failure = std::current_exception();
    }
  });
  if (failed) std::rethrow_exception(failure);
}

void Network::run_timed(const NetworkInput& x, float* y, double* seconds) const {
  const View& input = impl_->input;
  if (x.bytes != nullptr && !takes_bytes()) fail("network", "bytes need a byte table");
  const ThreadScope count(impl_->threads);
  ArenaPool::Lease arena(impl_->arenas);
  const Clock::time_point start = seconds == nullptr ? Clock::time_point() : Clock::now();

  Memories memories = {x.floats, arena.data(), y, nullptr};
  if (!in_place(x, input)) {
    float* to = arena.data() + input.offset;
    if (x.bytes != nullptr) {
      look_up(x, input, impl_->byte_table.data(), to);
    } else {
      nchw_to_nhwc(input.n, input.c, input.h * input.w, x.floats, to);
    }
    memories.input = to;
  }
  if (seconds != nullptr) *seconds++ = since(start);
  for (const Impl::Stretch& stretch : impl_->stretches) {
    if (stretch.turns) {
      impl_->run_turns(stretch, memories, seconds);
    } else {
      impl_->run_steps(stretch.starts.front(), stretch.end, memories, seconds, 1.0);
    }
  }
}

}  // namespace fastconv
