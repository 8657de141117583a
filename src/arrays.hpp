// What every binding does first: check an array's type, rank and memory, and take its pointer.
//
// Python hands over float32 arrays in C order, pictures as (N, H, W, C); functional/_arrays.py
// makes them so. A failed check here is a caller's mistake that Python did not catch.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>

namespace fastconv::python {

namespace py = pybind11;

// A C-ordered array of T: pointer and sizes, valid while the Python object lives.
template <class T>
struct Array {
  T* data;
  const py::ssize_t* shape;
  std::int64_t rank;
  std::int64_t size;
  std::int64_t operator[](int axis) const { return shape[axis]; }
};

template <class T>
void check(const char* operation, const char* name, const py::array& array, int rank) {
  const std::string prefix = std::string(operation) + ": " + name;
  // Not `is`: an unpickled array has a dtype object of its own.
  if (!py::isinstance<py::array_t<std::remove_const_t<T>>>(array)) {
    throw py::type_error(prefix + " has the wrong dtype (expected=" +
                         std::string(py::str(py::dtype::of<std::remove_const_t<T>>())) +
                         ", dtype=" + std::string(py::str(array.dtype())) + ")");
  }
  if (rank >= 0 && array.ndim() != rank) {
    throw py::value_error(prefix + " has the wrong rank (expected=" + std::to_string(rank) +
                          ", rank=" + std::to_string(array.ndim()) + ")");
  }
  if (!(array.flags() & py::array::c_style)) {
    throw py::value_error(prefix + " must be C-contiguous");
  }
}

// rank -1 accepts any.
template <class T>
Array<const T> input(const char* operation, const char* name, const py::array& array,
                     int rank = -1) {
  check<T>(operation, name, array, rank);
  return {static_cast<const T*>(array.data()), array.shape(), array.ndim(), array.size()};
}

template <class T>
Array<T> output(const char* operation, const char* name, py::array& array, int rank = -1) {
  check<T>(operation, name, array, rank);
  if (!array.writeable())
    throw py::value_error(std::string(operation) + ": " + name + " is read-only");
  return {static_cast<T*>(array.mutable_data()), array.shape(), array.ndim(), array.size()};
}

// None, or a vector of the given length; nullptr for None.
inline const float* optional_vector(const char* operation, const char* name,
                                    const py::object& object, std::int64_t length) {
  if (object.is_none()) return nullptr;
  const auto array = input<float>(operation, name, py::cast<py::array>(object), 1);
  if (array.size != length) {
    throw py::value_error(std::string(operation) + ": " + name +
                          " has the wrong length (expected=" + std::to_string(length) +
                          ", length=" + std::to_string(array.size) + ")");
  }
  return array.data;
}

// One per kernel family, defined in the family's file.
void bind_runtime(py::module_& m);
void bind_gemm(py::module_& m);
void bind_conv(py::module_& m);
void bind_pool(py::module_& m);
void bind_norm(py::module_& m);
void bind_activation(py::module_& m);
void bind_loss(py::module_& m);
void bind_optim(py::module_& m);
void bind_random(py::module_& m);
void bind_elementwise(py::module_& m);
void bind_layout(py::module_& m);
void bind_network(py::module_& m);

}  // namespace fastconv::python
