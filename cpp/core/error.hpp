// Builds error messages: fail("conv2d", "stride must be positive", {{"stride", 0}}).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "fastconv/error.hpp"

namespace fastconv {

using NamedValue = std::pair<const char*, std::int64_t>;

[[noreturn]] void fail(const char* operation, const std::string& rule,
                       std::initializer_list<NamedValue> values = {});

// a * b, or an error that names the operation where the product overflows 63 bits.
std::int64_t checked_mul(const char* operation, std::int64_t a, std::int64_t b);

}  // namespace fastconv
