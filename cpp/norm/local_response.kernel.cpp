// Windows run along the row. What they add up is laid out in scratch with zeros on both sides, so
// that every window is a few shifted loads.
#include "norm/local_response.hpp"

#include "norm/vectors.hpp"
#include "simd/math.hpp"

namespace fastconv {
namespace FASTCONV_ISA {
namespace {

// scale**-0.75 of a normal number or infinity, to 2 units in the last place, without square roots
// or divisions.
//
// A shift and a subtraction scale the exponent, and the mantissa with it (as in the fast inverse
// square root): the guess g has h = 1 - g**4 * scale**3 between -0.172 and 0.172. The result is
// g * (1 - h)**(-1/4), by a minimax polynomial.
FASTCONV_INLINE vf to_minus_three_quarters(vf scale) {
  constexpr float kSeries[] = {0.0738572904f, 0.0837986901f, 0.0951697154f,
                               0.117155641f,  0.156250167f,  0.250000052f};
  const vu bits = (vu)scale;
  const vf guess = (vf)(0x6f145a1cu - bits + (bits >> 2));
  const vf quarter = scale * guess;         // about scale**(1/4): nothing overflows
  const vf inverse_root = quarter * guess;  // about scale**(-1/2)
  const vf h = set1(1.0f) - quarter * quarter * inverse_root;
  const vf y = fma(guess * h, math::polynomial(h, kSeries), guess);
  return scale == set1(__builtin_inff()) ? zero() : y;
}

struct ThreeQuarters {
  FASTCONV_INLINE vf operator()(vf scale) const { return to_minus_three_quarters(scale); }
};
struct AnyPower {
  float exponent;
  FASTCONV_INLINE vf operator()(vf scale) const { return pow(scale, exponent); }
};

// A row between zeros.
class PaddedRow {
 public:
  // Takes left + channels + right + W floats: the last loads run over the end.
  PaddedRow(float* memory, std::int64_t channels, std::int64_t left, std::int64_t right)
      : left_(left), width_(left + right + 1), memory_(memory) {
    for (std::int64_t i = 0; i < left + channels + right + W; ++i) memory[i] = 0;
  }
  FASTCONV_INLINE float* at(std::int64_t channel) { return memory_ + left_ + channel; }
  FASTCONV_INLINE vf window_sum(std::int64_t channel) const {
    vf total = load(memory_ + channel);
    for (std::int64_t i = 1; i < width_; ++i) total = total + load(memory_ + channel + i);
    return total;
  }

 private:
  std::int64_t left_, width_;
  float* memory_;
};

FASTCONV_INLINE void set_squares(PaddedRow& squares, const float* x, std::int64_t channels) {
  for_each_vector(channels, [&](std::int64_t c, auto lanes) {
    const vf v = lanes.load_at(x + c);
    lanes.store_at(squares.at(c), v * v);
  });
}

// The window that networks use, of two channels before and two after: squares stay in registers.
template <class Power>
void forward_of_five(const LocalResponseRows& r, Power power, const float* x, float* y) {
  for (std::int64_t row = 0; row < r.rows; ++row, x += r.channels, y += r.channels) {
    const auto square = [&](std::int64_t c) {
      const std::int64_t left = r.channels - c;
      const vf v = left >= W ? load(x + c) : left > 0 ? load_first(x + c, left) : zero();
      return v * v;
    };
    vf before = zero(), here = square(0);
    for_each_vector(r.channels, [&](std::int64_t c, auto lanes) {
      const vf after = square(c + W);
      const vf total = here + (shifted<W - 1>(before, here) + shifted<1>(here, after)) +
                       (shifted<W - 2>(before, here) + shifted<2>(here, after));
      const vf scale = fma(total, set1(r.alpha), set1(r.k));
      lanes.store_at(y + c, lanes.load_at(x + c) * power(scale));
      before = here, here = after;
    });
  }
}

template <class Power>
void forward_with(const LocalResponseRows& r, Power power, const float* x, float* y) {
  if (r.before == 2 && r.after == 2) return forward_of_five(r, power, x, y);
  PaddedRow squares(r.scratch, r.channels, r.before, r.after);
  for (std::int64_t row = 0; row < r.rows; ++row, x += r.channels, y += r.channels) {
    set_squares(squares, x, r.channels);
    for_each_vector(r.channels, [&](std::int64_t c, auto lanes) {
      const vf scale = fma(squares.window_sum(c), set1(r.alpha), set1(r.k));
      lanes.store_at(y + c, lanes.load_at(x + c) * power(scale));
    });
  }
}

// Channel j reaches the result directly, and through the scale of every channel whose window holds
// j: the window mirrored.
template <class Power>
void backward_with(const LocalResponseRows& r, Power power, const float* grad_y, const float* x,
                   float* grad_x) {
  PaddedRow squares(r.scratch, r.channels, r.before, r.after);
  PaddedRow through(r.scratch + r.scratch_row, r.channels, r.after, r.before);
  const vf factor = set1(-2.0f * r.beta * r.alpha);
  for (std::int64_t row = 0; row < r.rows; ++row) {
    set_squares(squares, x, r.channels);
    for_each_vector(r.channels, [&](std::int64_t c, auto lanes) {
      const vf scale = fma(squares.window_sum(c), set1(r.alpha), set1(r.k));
      const vf direct = lanes.load_at(grad_y + c) * power(scale);
      lanes.store_at(through.at(c), direct * lanes.load_at(x + c) / scale);
      lanes.store_at(grad_x + c, direct);
    });
    for_each_vector(r.channels, [&](std::int64_t c, auto lanes) {
      const vf indirect = lanes.load_at(x + c) * through.window_sum(c);
      lanes.store_at(grad_x + c, fma(indirect, factor, lanes.load_at(grad_x + c)));
    });
    x += r.channels, grad_y += r.channels, grad_x += r.channels;
  }
}

// Whether scales are normal numbers, or infinite, to the power of -3/4.
bool is_simple(const LocalResponseRows& r) {
  return r.beta == 0.75f && r.alpha >= 0 && r.k >= 1.17549435e-38f;
}

void forward(const LocalResponseRows& r, const float* x, float* y) {
  if (is_simple(r)) return forward_with(r, ThreeQuarters{}, x, y);
  forward_with(r, AnyPower{-r.beta}, x, y);
}

void backward(const LocalResponseRows& r, const float* grad_y, const float* x, float* grad_x) {
  if (is_simple(r)) return backward_with(r, ThreeQuarters{}, grad_y, x, grad_x);
  backward_with(r, AnyPower{-r.beta}, grad_y, x, grad_x);
}

}  // namespace

extern const LocalResponseKernels local_response_kernels_table;
const LocalResponseKernels local_response_kernels_table = {forward, backward};

}  // namespace FASTCONV_ISA
}  // namespace fastconv
