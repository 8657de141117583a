// The C++ door to compiled networks: building one by hand, running it from several threads, errors.
#include <cmath>
#include <thread>
#include <vector>

#include "expect.hpp"
#include "fastconv/network.hpp"
#include "fastconv/runtime.hpp"

using namespace fastconv;
using fastconv::tests::error_of;

namespace {

constexpr View::Memory kArena = View::Memory::arena, kInput = View::Memory::input,
                       kOutput = View::Memory::output;

// Two convolutions write the halves of one picture; its means are the output.
Network make() {
  Network network({kArena, 0, 3, 1, 4, 5, 3}, 4, 64 + 80);
  std::vector<float> weight(6, 0.0f), bias = {1, 2};
  weight[0] = weight[5] = 1;  // the first channel, and the last
  const auto conv = std::make_shared<PackedConv2d>(Conv2dParams{3, 2, 1, 1}, weight.data(),
                                                   bias.data(), Activation{Activation::relu, 0, 0});
  const View x = {kInput, 0, 3, 1, 4, 5, 3}, wide = {kArena, 64, 4, 1, 4, 5, 4};
  View half = wide;
  half.c = 2;
  network.add_conv2d(conv, x, nullptr, half);
  half.offset += 2;
  network.add_conv2d(conv, x, nullptr, half);
  network.add_adaptive_avg_pool2d(wide, {kOutput, 0, 4, 1, 1, 1, 4});
  return network;
}

}  // namespace

int main() {
  for (const std::string& isa : available_isas()) {
    set_isa(isa);
    Network network = make();
    EXPECT(network.steps() == 3);
    EXPECT(!network.takes_bytes());
    std::vector<float> x(60);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 3);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          std::vector<float> y(4, NAN);
          network.run({x.data(), PixelOrder::nhwc}, y.data());
          EXPECT((y == std::vector<float>{1, 4, 1, 4}));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();

    // The same picture as NCHW, and as bytes.
    std::vector<float> planes(60), y(4, NAN);
    std::vector<std::uint8_t> bytes(60);
    for (std::size_t i = 0; i < 60; ++i) {
      planes[i] = static_cast<float>(i / 20);
      bytes[i] = static_cast<std::uint8_t>(i % 3);
    }
    network.run({planes.data(), PixelOrder::nchw}, y.data());
    EXPECT((y == std::vector<float>{1, 4, 1, 4}));
    EXPECT(error_of([&] {
             network.run({bytes.data(), PixelOrder::nhwc}, y.data());
           }).find("bytes need a byte table") != std::string::npos);
    std::vector<float> table(3 * 256);
    for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i % 256) * 10;
    network.set_byte_table(table.data());
    double seconds[4];
    network.run_timed({bytes.data(), PixelOrder::nhwc}, y.data(), seconds);
    EXPECT((y == std::vector<float>{1, 22, 1, 22}));
    for (double s : seconds) EXPECT(s >= 0);
  }
  // Each half of the input is a turn; the sum of both follows.
  Network turns({kArena, 0, 1, 2, 1, 5, 1}, 5, 20, 2, 5);
  for (std::int64_t i = 0; i < 2; ++i) {
    const View half = {kInput, 5 * i, 1, 1, 1, 5, 1}, mine = {View::Memory::turn, 0, 1, 1, 1, 5, 1};
    turns.begin_turn();
    turns.add_activation({Activation::relu, 0, 0}, half, mine);
    turns.add_addition({}, mine, half, {kArena, 5 * i, 1, 1, 1, 5, 1});
  }
  turns.end_turns();
  turns.add_addition({}, {kArena, 0, 1, 1, 1, 5, 1}, {kArena, 5, 1, 1, 1, 5, 1},
                     {kOutput, 0, 1, 1, 1, 5, 1});
  EXPECT(turns.steps() == 5);
  const std::vector<float> both = {1, -2, 3, -4, 5, 10, 20, 30, 40, -50};
  for (int i = 0; i < 50; ++i) {
    std::vector<float> y(5, NAN);
    double seconds[6] = {-1, -1, -1, -1, -1, -1};
    turns.run_timed({both.data(), PixelOrder::nhwc}, y.data(), seconds);
    EXPECT((y == std::vector<float>{22, 38, 66, 76, -40}));
    for (double s : seconds) EXPECT(s >= 0);
  }
  const View outside = {View::Memory::turn, 0, 1, 1, 1, 5, 1};
  EXPECT(error_of([&] { turns.add_sigmoid(outside, outside); }) ==
         "sigmoid: a turn's memory is for the steps of a turn");

  Network network({kArena, 0, 3, 1, 4, 5, 3}, 4, 60);
  const View x = {kInput, 0, 3, 1, 4, 5, 3};
  EXPECT(error_of([&] { network.add_sigmoid(x, {kArena, 1, 3, 1, 4, 5, 3}); }) ==
         "sigmoid: a view must lie in its memory (offset=1, pixels=20, pixel=3, memory=60)");
  EXPECT(error_of([&] { network.add_sigmoid(x, x); }) ==
         "sigmoid: the input must not be written to");
  EXPECT(error_of([&] {
           Network small({kArena, 0, 3, 1, 4, 5, 3}, 4, 59);
         }).find("network: a view must lie in its memory") == 0);
  EXPECT(network.steps() == 0);
  EXPECT(measure_read_bandwidth(0.01) > 0);
  return tests::failures == 0 ? 0 : 1;
}
