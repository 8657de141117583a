#include "norm/local_response.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"
#include "fastconv/norm.hpp"

namespace fastconv {
namespace {

constexpr std::int64_t kGrain = 4096;  // floats worth a thread; powers are dear

// f(rows, offset) for each thread's share of the rows.
template <class F>
void for_each_share(const char* operation, const NormShape& shape, const LocalResponse& response,
                    const F& f) {
  if (response.size < 1) fail(operation, "size must be at least 1", {{"size", response.size}});
  if (shape.rows < 0 || shape.channels < 0) {
    fail(operation, "sizes must not be negative",
         {{"rows", shape.rows}, {"channels", shape.channels}});
  }
  if (shape.rows == 0 || shape.channels == 0) return;
  // What a window holds beyond the first or the last channel is zero.
  LocalResponseRows rows = {};
  rows.channels = shape.channels;
  rows.before = std::min(response.size / 2, shape.channels - 1);
  rows.after = std::min((response.size - 1) / 2, shape.channels - 1);
  rows.alpha = response.alpha / static_cast<float>(response.size);
  rows.beta = response.beta;
  rows.k = response.k;

  const std::int64_t parts = std::max<std::int64_t>(1, shape.rows * shape.channels / kGrain);
  const int members =
      static_cast<int>(std::min(std::min<std::int64_t>(get_num_threads(), shape.rows), parts));
  rows.scratch_row = round_up(rows.before + shape.channels + rows.after, 16) + 16;
  Scratch scratch(members * 2 * rows.scratch_row);
  parallel_team(members, [&](int member) {
    const Range range = split(shape.rows, members, member);
    LocalResponseRows mine = rows;
    mine.rows = range.size();
    mine.scratch = scratch.data() + member * 2 * rows.scratch_row;
    f(mine, range.begin * shape.channels);
  });
}

}  // namespace

void local_response_norm(const NormShape& shape, const LocalResponse& response, const float* x,
                         float* y) {
  const auto kernel = local_response_kernels().forward;
  for_each_share("local_response_norm", shape, response,
                 [&](const LocalResponseRows& rows, std::int64_t offset) {
                   kernel(rows, x + offset, y + offset);
                 });
}

void local_response_norm_backward(const NormShape& shape, const LocalResponse& response,
                                  const float* grad_y, const float* x, float* grad_x) {
  const auto kernel = local_response_kernels().backward;
  for_each_share("local_response_norm_backward", shape, response,
                 [&](const LocalResponseRows& rows, std::int64_t offset) {
                   kernel(rows, grad_y + offset, x + offset, grad_x + offset);
                 });
}

}  // namespace fastconv
