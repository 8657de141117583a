// Which instruction sets the CPU has, and which one is in use.
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "core/costs.hpp"
#include "core/dispatch.hpp"
#include "core/error.hpp"
#include "fastconv/runtime.hpp"

#if defined(__linux__)
#include <unistd.h>
#endif
#if defined(FASTCONV_X86)
#include <cpuid.h>
#endif

namespace fastconv {
namespace {

struct IsaEntry {
  Isa isa;
  const char* name;
  bool (*supported)();
};

// Best first. The feature lists match the compiler flags in cpp/CMakeLists.txt.
constexpr IsaEntry kIsas[] = {
#if defined(FASTCONV_X86)
    {Isa::avx512, "avx512",
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
              __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
     }},
    {Isa::avx2, "avx2",
     [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }},
#endif
    {Isa::baseline, "baseline", [] { return true; }},
};

std::string available_names() {
  std::string names;
  for (const auto& name : available_isas()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

const IsaEntry& find_isa(const std::string& source, const std::string& name) {
  for (const auto& entry : kIsas) {
    if (name == entry.name) {
      if (entry.supported()) return entry;
      throw Error(source + ": this CPU does not support the instruction set (isa=" + name +
                  ", available=" + available_names() + ")");
    }
  }
  throw Error(source + ": unknown instruction set (isa=" + name +
              ", available=" + available_names() + ")");
}

std::atomic<const IsaEntry*> g_active{nullptr};

const IsaEntry& active_entry() {
  const IsaEntry* entry = g_active.load(std::memory_order_acquire);
  if (entry == nullptr) {
    const char* forced = std::getenv("FASTCONV_ISA");
    const bool force = forced != nullptr && *forced != '\0';
    entry = &find_isa("FASTCONV_ISA", force ? forced : available_isas().front());
    g_active.store(entry, std::memory_order_release);
  }
  return *entry;
}

bool is_amd() {
#if defined(FASTCONV_X86)
  static const bool amd = __builtin_cpu_is("amd") != 0;
  return amd;
#else
  return false;
#endif
}

// AVX-512 on multipliers of 256 bits.
bool is_zen4() {
#if defined(FASTCONV_X86)
  unsigned a = 0, b, c, d;
  static const bool zen4 = is_amd() && __get_cpuid(1, &a, &b, &c, &d) != 0 &&
                           (a >> 8 & 0xf) == 0xf && (a >> 20 & 0xff) == 0xa;  // family 0x19
  return zen4;
#else
  return false;
#endif
}

}  // namespace

Isa active_isa() { return active_entry().isa; }

std::string get_isa() { return active_entry().name; }

void set_isa(const std::string& name) { g_active.store(&find_isa("set_isa", name)); }

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const auto& entry : kIsas) {
    if (entry.supported()) names.emplace_back(entry.name);
  }
  return names;
}

std::size_t l2_cache_bytes() {
  static const std::size_t bytes = [] {
#if defined(_SC_LEVEL2_CACHE_SIZE)
    const long value = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (value > 0) return static_cast<std::size_t>(value);
#endif
    return std::size_t{1} << 20;
  }();
  return bytes;
}

int l1_cache_ways() {
  static const int ways = [] {
#if defined(_SC_LEVEL1_DCACHE_ASSOC)
    const long value = sysconf(_SC_LEVEL1_DCACHE_ASSOC);
    if (value > 0) return static_cast<int>(value);
#endif
    return 8;
  }();
  return ways;
}

double fma_rate() { return is_zen4() && active_isa() == Isa::avx512 ? 1 : 2; }

bool l3_is_near() { return is_amd(); }

// A near L3 has 32 MiB; Winograd's weights are up to seven times as many.
std::size_t kept_weight_bytes() { return std::size_t{l3_is_near() ? 8u : 32u} << 20; }

std::string compiler() {
#if defined(__clang__)
  return "Clang " __clang_version__;
#else
  return "GCC " __VERSION__;
#endif
}

}  // namespace fastconv
