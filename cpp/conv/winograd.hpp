// Winograd's convolutions F(m x m, r x r) for square kernels (Lavin and Gray, 2015): of stride 1,
// and of other strides over the phases of the picture (phases.hpp).
//
// An output tile of m x m pixels needs (m + r - 1)^2 products a channel pair instead of r^2 m^2:
// 2.25 times fewer for F(2, 3), 4 times for F(4, 3), 5.1 for F(6, 3), 2.6 and 5.2 times for F(2, 4)
// and F(4, 4), 2.8 and 6.2 times for F(2, 5) and F(4, 5). A tile of t = m + r - 1 pixels each way
// is transformed, V = B^T d B, multiplied with transformed weights U = G g G^T, one GEMM over
// channels for each of the t^2 positions, and transformed back, A^T M A.
//
// Where tiles do not fill a picture, some are a line or a column short: F(3, 3) is F(4, 3) without
// the point 0, on the same weights, and needs 5 products instead of 6 each way. A line of 14 pixels
// is 4 + 4 + 3 + 3. Or they are two short, without infinity as well: of 6 pixels, 14 are 6 + 4 + 4.
// Such tiles begin at even lines and columns, and windows of 2x2 lie inside of one: their maxima
// are all that is written where max pooling follows.
//
// The points of interpolation for t = 6 are 0, +-sqrt(1/2), +-sqrt(2) and infinity, whose errors
// are less than half of those of the usual 0, +-1, +-2: about 2e-6 of the largest output with 256
// channels. Those for t = 8 are 0, +-1/2, +-1, +-2 and infinity, with errors of about 5e-6 with 64
// channels and 1e-5 with 256 (F(6, 3): twice that). t = 5 and t = 7 leave the point 0 out of these,
// so that their tiles have no short ones. A NaN or infinity reaches all pixels of its tile.
#pragma once

#include <cstdint>
#include <memory>

#include "core/dispatch.hpp"
#include "core/memory.hpp"
#include "core/recent.hpp"
#include "core/threads.hpp"
#include "fastconv/conv.hpp"
#include "gemm/panels.hpp"

namespace fastconv {

struct WinogradOutput {
  const float* m;  // position p of the tile at m + p * m_stride
  std::int64_t m_stride;
  std::int64_t columns;   // output channels
  const float* bias;      // or null
  const float* residual;  // laid out as out, or null
  Activation activation;
  float* out;   // the tile's first pixel
  float* next;  // likely the next tile's: stores that come from L3 would not be in time
  std::int64_t out_pixel, out_row;
  std::int64_t height, width;  // pixels of the tile inside the picture, before pooling
};

// A tile of a picture's phases (phases.hpp) where it lies in the picture.
struct PhaseTile {
  const float* first;
  std::int64_t line;    // floats from one line of the picture to the next
  std::int64_t run;     // floats of a pixel of the phases that lie in one line
  std::int64_t stride;  // lines of the picture in one of the phases
};

struct WinogradForm {
  // [short by - 1][short in lines][in columns], null where tiles of the form are never so short.
  // Pixels of one tile, t a line, each `channels` floats -> V, position p at v + p * v_stride. The
  // next tile's are asked for ahead, `next` floats later.
  void (*input[2][2][2])(const float* const* pixels, std::int64_t channels, std::int64_t next,
                         float* v, std::int64_t v_stride);
  // [short one line][one column]: the same of a picture's phases, where no vector of a pixel comes
  // from more than two lines.
  void (*input_phases[2][2])(const PhaseTile& tile, float* v, std::int64_t v_stride);
  void (*output[2][2][2])(const WinogradOutput& job);  // as input
  // [short two lines][two columns]: the maxima of 2x2 windows, without a residual. The activation
  // must not fall.
  void (*pooled[2][2])(const WinogradOutput& job);
  // The taps, each `floats` (a multiple of the lanes), one after another -> U, position p at
  // u + p * u_stride.
  void (*weights)(const float* taps, std::int64_t floats, float* u, std::int64_t u_stride);
};

struct WinogradKernels {
  WinogradForm forms[3][3];  // F(2, r) and F(4, r) for r = 3, 4, 5, and F(6, 3)
};

FASTCONV_DECLARE_KERNELS(WinogradKernels, winograd_kernels)

// Floats from one position to the next, of `rows` rows: a transform's stores go to all positions.
inline std::int64_t position_floats(std::int64_t rows, std::int64_t row) {
  return odd_lines(rows * row);
}

// Packed weights of a convolution of dilation 1 and one group whose square kernel is 3x3 to 5x5, or
// becomes so over the phases of its stride.
class Winograd {
 public:
  // Of a convolution's weights as they are, or turned round for the gradient of its picture.
  enum class Side { forward, backward };
  // Where a run has the transformed weights from: L3, where they are since the last run, or memory;
  // or it makes them when it comes to them, block by block, from weights that stay where they are.
  enum class Source { cache, memory, lazy };

  // tile: m, 2, 4 or 6. The other side and lazy weights are of stride 1. weight (out_channels,
  // in_channels, r, r), or (in_channels, out_channels, r, r) for the other side. memory:
  // weight_floats() floats, or null.
  Winograd(const Conv2dParams& params, int tile, const float* weight, Side side = Side::forward,
           Source source = Source::cache, float* memory = nullptr);
  static std::int64_t weight_floats(const Conv2dParams& params, int tile);

  ~Winograd();
  Winograd(Winograd&&) noexcept;
  Winograd& operator=(Winograd&&) noexcept;

  // Strides in floats; residual is laid out as out. pools: what is written are the maxima of 2x2
  // windows, an odd last line or column left out, for which there must be no residual, an
  // activation that does not fall and a convolution of stride 1.
  void run(const float* x, std::int64_t x_pixel, std::int64_t batch, PictureSize in,
           const Epilogue& epilogue, float* out, std::int64_t out_pixel,
           const NextWeights& next = {}, bool pools = false) const;

  // Those of the first position.
  NextWeights weights() const { return {weights_, position_floats_}; }

  // Whether there is such an algorithm for a convolution, group by group.
  static bool supports(const Conv2dParams& params, int tile);

  // Estimated cycles of a run, for the choice of an algorithm.
  static double cost(const Conv2dParams& params, int tile, std::int64_t batch, PictureSize in,
                     int threads, Source source);

 private:
  struct Plan;

  std::int64_t packed_floats() const;
  void make_weights(std::int64_t panel, Range channels, float* packed, float* u,
                    std::int64_t u_position) const;

  Conv2dParams params_, phases_;  // as asked for; of stride 1
  Side side_;
  Source source_;
  int m_, t_;
  const TileKernels* tiles_;
  const WinogradForm* kernels_;
  const float* plain_;  // not transformed, of lazy weights
  AlignedBuffer own_;   // empty where the caller gave memory
  float* weights_ = nullptr;
  std::int64_t position_floats_ = 0;     // of one position's panels
  std::unique_ptr<Recent<Plan>> plans_;  // by batch, size and threads
};

}  // namespace fastconv
