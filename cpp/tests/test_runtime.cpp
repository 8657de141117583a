// Instruction sets, threads, memory.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "core/memory.hpp"
#include "core/threads.hpp"
#include "expect.hpp"
#include "fastconv/runtime.hpp"

using namespace fastconv;
using fastconv::tests::error_of;

namespace {

void test_isas() {
  const std::vector<std::string> isas = available_isas();
  EXPECT(!isas.empty() && isas.back() == "baseline");
  const std::string before = get_isa();
  for (const std::string& isa : isas) {
    set_isa(isa);
    EXPECT(get_isa() == isa);
  }
  set_isa(before);
  EXPECT(error_of([] { set_isa("sse9"); }).find("unknown instruction set (isa=sse9") !=
         std::string::npos);
  EXPECT(get_isa() == before);
}

void test_threads() {
  EXPECT(error_of([] { set_num_threads(0); }) ==
         "set_num_threads: threads must be at least 1 (threads=0)");
  for (int threads : {1, 2, 3, 7}) {
    set_num_threads(threads);
    std::vector<int> seen(1000, 0);
    parallel_for(1000, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
    });
    for (int count : seen) EXPECT(count == 1);
  }
  for (std::int64_t total : {0, 1, 7, 100}) {
    std::int64_t next = 0;
    for (int i = 0; i < 8; ++i) {
      const Range part = split(total, 8, i);
      EXPECT(part.begin == next && part.size() >= total / 8 && part.size() <= total / 8 + 1);
      next = part.end;
    }
    EXPECT(next == total);
  }
}

void test_memory() {
  for (std::int64_t floats : {0, 1, 15, 16, 1000, 1 << 20}) {
    AlignedBuffer buffer(floats);
    EXPECT(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
    Scratch first(floats), second(floats);
    EXPECT(floats == 0 || first.data() + floats <= second.data() ||
           second.data() + floats <= first.data());
  }
  // Blocks of one region are disjoint, whichever outlives the other.
  auto first = std::make_unique<AlignedBuffer>(AlignedBuffer::lasting(1000));
  AlignedBuffer second = AlignedBuffer::lasting(1000);
  std::fill_n(first->data(), 1000, 1.0f);
  std::fill_n(second.data(), 1000, 2.0f);
  EXPECT(first->data()[999] == 1.0f);
  first.reset();
  AlignedBuffer third = AlignedBuffer::lasting(1 << 24);
  std::fill_n(third.data(), 1 << 24, 3.0f);
  EXPECT(second.data()[0] == 2.0f && second.data()[999] == 2.0f && second.size() == 1000);
  EXPECT(reinterpret_cast<std::uintptr_t>(second.data()) % 64 == 0);
  bool thrown = false;
  try {
    AlignedBuffer huge(std::numeric_limits<std::int64_t>::max());
  } catch (const std::bad_alloc&) {
    thrown = true;
  }
  EXPECT(thrown);
}

}  // namespace

int main() {
  try {
    test_isas();
  } catch (const Error& error) {  // FASTCONV_ISA names no instruction set of this CPU
    std::printf("%s\n", error.what());
    return 1;
  }
  test_threads();
  test_memory();
  return tests::failures == 0 ? 0 : 1;
}
