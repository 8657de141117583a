// The test helper: EXPECT(condition) reports a failure and goes on.
#pragma once

#include <cstdio>
#include <string>

#include "fastconv/error.hpp"

namespace fastconv::tests {

inline int failures = 0;

inline void expect(bool holds, const char* what, const char* file, int line) {
  if (holds) return;
  std::printf("%s:%d: failed: %s\n", file, line, what);
  ++failures;
}

// The message of the Error that f throws, or an empty string.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace fastconv::tests

#define EXPECT(condition) \
  ::fastconv::tests::expect(static_cast<bool>(condition), #condition, __FILE__, __LINE__)
