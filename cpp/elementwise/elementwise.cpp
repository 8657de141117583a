#include "elementwise/elementwise.hpp"

#include "core/error.hpp"
#include "core/threads.hpp"

namespace fastconv {

void add(Activation f, std::int64_t size, const float* x, const float* y, float* out) {
  constexpr std::int64_t kGrain = 16384;  // floats of simple work that are worth a thread
  if (size < 0) fail("add", "sizes must not be negative", {{"size", size}});
  const auto kernel = elementwise_kernels().add;
  parallel_for(size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel(f, end - begin, x + begin, y + begin, out + begin);
  });
}

}  // namespace fastconv
