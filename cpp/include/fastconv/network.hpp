// A compiled network: a list of steps over one arena of memory, run by one call.
//
// Whoever builds it (fastconv.compile, or a C++ program) says where every step reads and writes;
// sizes, bounds and strides are checked when a step is added, and not again when it runs.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "fastconv/activation.hpp"
#include "fastconv/conv.hpp"
#include "fastconv/gemm.hpp"
#include "fastconv/loss.hpp"
#include "fastconv/norm.hpp"
#include "fastconv/pool.hpp"
#include "fastconv/strided.hpp"

namespace fastconv {

// Where a step reads or writes: n pictures of h x w pixels of c floats, one pixel `pixel` floats
// after the other, so that a slice of the channels of a wider picture is a view too. Matrices are
// pictures of one line. `input` is read only, `turn` exists within a turn (begin_turn) alone.
struct View {
  enum class Memory { arena, input, output, turn };
  Memory memory = Memory::arena;
  std::int64_t offset = 0;  // floats before the first pixel
  std::int64_t pixel = 1;   // at least c; c where the view is dense
  std::int64_t n = 1, h = 1, w = 1, c = 1;

  std::int64_t pixels() const { return n * h * w; }
  std::int64_t floats() const { return pixels() * c; }
  bool dense() const { return pixel == c; }
};

enum class PixelOrder { nhwc, nchw };

// What a network is run on: dense floats, or bytes for a network with a byte table, in the order
// of NHWC or NCHW. Channels-last floats are read in place; all else is converted to them first.
struct NetworkInput {
  NetworkInput(const float* x, PixelOrder o) : floats(x), order(o) {}
  NetworkInput(const std::uint8_t* x, PixelOrder o) : bytes(x), order(o) {}
  const float* floats = nullptr;
  const std::uint8_t* bytes = nullptr;
  PixelOrder order;
};

// Every add_... appends a step; the comment says what the step writes to y. Views marked "dense"
// must be. y may overlap another view of the step only where it says "in place". Weights are
// copied, packed weights shared. Throws Error for views that do not fit each other or their memory.
class Network {
 public:
  // input: n, h, w and c of a run's x, and where in the arena it is put if it needs converting
  // (floats of one channel or one pixel never do).
  // output_floats: size of a run's y. threads: how many a run may use; 0 follows
  // get_num_threads(). turn_floats: size of a turn's memory.
  Network(const View& input, std::int64_t output_floats, std::int64_t arena_floats, int threads = 0,
          std::int64_t turn_floats = 0);
  ~Network();
  Network(Network&&) noexcept;
  Network& operator=(Network&&) noexcept;

  // activation(conv(x) + bias + residual). residual (or null) has y's shape and pixel stride, and
  // may be y itself. Or, without a residual, the maxima of 2x2 windows of it.
  void add_conv2d(std::shared_ptr<const PackedConv2d> conv, const View& x, const View* residual,
                  const View& y, bool pools = false);
  // The maxima of 2x2 windows of a convolution of pictures with few channels.
  void add_conv2d_max_pool2d(std::shared_ptr<const PooledConv2d> conv, const View& x,
                             const View& y);
  // activation(x * weight^T + bias), a row a pixel. Dense.
  void add_linear(std::shared_ptr<const PackedLinear> linear, const View& x, const View& y);

  void add_max_pool2d(const PoolWindow& window, const View& x, const View& y);
  void add_avg_pool2d(const PoolWindow& window, const View& x, const View& y);
  // Means of as many windows as y has pixels.
  void add_adaptive_avg_pool2d(const View& x, const View& y);

  // Dense, in place.
  void add_local_response_norm(const LocalResponse& response, const View& x, const View& y);
  // activation(x * scale + shift), scale and shift (c). Dense, in place.
  void add_affine(const float* scale, const float* shift, Activation activation, const View& x,
                  const View& y);
  // Element by element. Dense, in place.
  void add_activation(Activation activation, const View& x, const View& y);
  void add_sigmoid(const View& x, const View& y);
  void add_tanh(const View& x, const View& y);
  // slope (shape.channels); see ChannelShape.
  void add_prelu(const ChannelShape& shape, const float* slope, const View& x, const View& y);
  // activation(a + b). Dense, in place.
  void add_addition(Activation activation, const View& a, const View& b, const View& y);
  // f(a, b), see StridedAxis. One of a and b may be null: it is `constant` then, of `count` floats.
  // Dense, a and b in any shape.
  void add_arithmetic(Arithmetic f, std::vector<StridedAxis> axes, const View* a, const View* b,
                      const float* constant, std::int64_t count, const View& y);
  // The elements of x from number `first` on that the axes' steps a lead to. Dense, x in any shape.
  void add_gather(std::vector<StridedAxis> axes, std::int64_t first, const View& x, const View& y);
  // The channels of x with these numbers, as y's. Dense.
  void add_take(std::vector<std::int64_t> channels, const View& x, const View& y);
  // Or its logarithm. Dense, in place.
  void add_softmax(const SoftmaxShape& shape, bool logarithm, const View& x, const View& y);

  // x, with y's pixel stride.
  void add_copy(const View& x, const View& y);
  // x surrounded by `value`: top, bottom, left and right lines. Dense.
  void add_pad(std::int64_t top, std::int64_t bottom, std::int64_t left, std::int64_t right,
               float value, const View& x, const View& y);
  // The elements of the picture x in the order NCHW, or y's pictures from elements in that order;
  // the other view may be of any shape of as many floats. Dense.
  void add_to_nchw(const View& x, const View& y);
  void add_to_nhwc(const View& x, const View& y);

  // The steps from here to the next begin_turn() or end_turns() are a turn: one thread runs them
  // all, in a memory of their own, while others run the turns before and after. What one turn
  // writes outside of that memory no other may touch.
  void begin_turn();
  void end_turns();

  // What a byte b of channel k becomes, table[k * 256 + b]: makes runs on bytes possible.
  void set_byte_table(const float* table);
  bool takes_bytes() const;

  // Overwrites y (output_floats), which must not overlap x. Safe to call from several threads at
  // once: each call takes an arena of its own, which stays for later calls. Throws a
  // std::bad_alloc whose message says so where there is no memory for one.
  void run(const NetworkInput& x, float* y) const;
  // The same; seconds[0] is the time that converting the input took, seconds[1 + i] that of step i,
  // divided, within turns, by the number of threads that run them.
  void run_timed(const NetworkInput& x, float* y, double* seconds) const;

  std::int64_t steps() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Bytes a second, in units of 1e9, that all threads together read from memory (not the caches),
// measured for about `seconds`: the other roof, beside measure_peak_gflops.
double measure_read_bandwidth(double seconds = 0.1);

}  // namespace fastconv
