// Operations that walk through their operands along axes, on each with steps of its own: arithmetic
// that broadcasts, and axes in another order; and numbered columns. No output may overlap an
// operand.
#pragma once

#include <cstdint>
#include <vector>

namespace fastconv {

// How many elements the result has along an axis, and how many floats apart neighbours on it lie in
// the operands a and b; 0 repeats one element.
struct StridedAxis {
  std::int64_t size, a, b;
};

enum class Arithmetic { add, subtract, multiply, divide };

// The result lies without gaps in the order of the axes, of which there is at least one.
void arithmetic(Arithmetic f, const std::vector<StridedAxis>& axes, const float* a, const float* b,
                float* out);

// The result is a, as the axes order it.
void gather(const std::vector<StridedAxis>& axes, const float* a, float* out);

// Row r of the result (rows, columns.size()) holds those columns of row r of x (rows, width).
void take(std::int64_t rows, std::int64_t width, const std::vector<std::int64_t>& columns,
          const float* x, float* out);

}  // namespace fastconv
