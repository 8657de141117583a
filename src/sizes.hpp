// The check that arrays fit together, for bindings whose functions take them flat.
#pragma once

#include <string>

#include "arrays.hpp"

namespace fastconv::python {

template <class T>
void require_size(const char* operation, const char* name, const Array<T>& array,
                  std::int64_t expected) {
  if (array.size != expected) {
    throw py::value_error(std::string(operation) + ": " + name + " has the wrong size (expected=" +
                          std::to_string(expected) + ", size=" + std::to_string(array.size) + ")");
  }
}

}  // namespace fastconv::python
