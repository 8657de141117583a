#include "core/error.hpp"

namespace fastconv {

void fail(const char* operation, const std::string& rule,
          std::initializer_list<NamedValue> values) {
  std::string message = std::string(operation) + ": " + rule;
  const char* separator = " (";
  for (const auto& [name, value] : values) {
    message += separator + std::string(name) + "=" + std::to_string(value);
    separator = ", ";
  }
  if (values.size() > 0) message += ")";
  throw Error(message);
}

std::int64_t checked_mul(const char* operation, std::int64_t a, std::int64_t b) {
  std::int64_t product;
  if (__builtin_mul_overflow(a, b, &product)) {
    fail(operation, "the size of an array overflows 64 bits", {{"factor", a}, {"factor", b}});
  }
  return product;
}

}  // namespace fastconv
