// The `activation` argument of Python functions, as the struct that kernels take.
#pragma once

#include <pybind11/pybind11.h>

#include <limits>
#include <string>

#include "fastconv/activation.hpp"

namespace fastconv::python {

namespace py = pybind11;

// None, "relu", ("leaky_relu", slope) or ("clip", min, max), where a bound of None does not bound.
// Anything else is a TypeError where its Python type is wrong and a ValueError otherwise.
inline Activation to_activation(const char* operation, const py::object& object) {
  const auto message = [&] {
    return std::string(operation) +
           ": activation must be None, \"relu\", (\"leaky_relu\", slope) or (\"clip\", min, max) "
           "(activation=" +
           std::string(py::repr(object)) + ")";
  };
  if (object.is_none()) return {};
  if (py::isinstance<py::str>(object)) {
    if (py::cast<std::string>(object) == "relu") return {Activation::relu, 0, 0};
    throw py::value_error(message());
  }
  if (!py::isinstance<py::tuple>(object)) throw py::type_error(message());
  const auto parts = py::cast<py::tuple>(object);
  if (parts.size() == 0) throw py::value_error(message());
  if (!py::isinstance<py::str>(parts[0])) throw py::type_error(message());
  const auto name = py::cast<std::string>(parts[0]);
  const auto number = [&](std::size_t i, float none) {
    const py::object part = parts[i];
    if (part.is_none() && name == "clip") return none;
    const double value = PyFloat_AsDouble(part.ptr());
    if (PyErr_Occurred() != nullptr) {
      PyErr_Clear();
      throw py::type_error(message());
    }
    return static_cast<float>(value);
  };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (name == "leaky_relu" && parts.size() == 2) return {Activation::leaky_relu, number(1, 0), 0};
  if (name == "clip" && parts.size() == 3) {
    return {Activation::clip, number(1, -kInfinity), number(2, kInfinity)};
  }
  throw py::value_error(message());
}

}  // namespace fastconv::python
