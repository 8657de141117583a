#include "fastconv/elementwise.hpp"

#include "activation.hpp"
#include "arrays.hpp"

namespace fastconv::python {
namespace {

void bind_add(const py::array& x, const py::array& y, const py::object& activation, py::array out) {
  const Activation f = to_activation("add", activation);
  const auto left = input<float>("add", "x", x);
  const auto right = input<float>("add", "y", y);
  const auto to = output<float>("add", "out", out);
  if (right.size != left.size || to.size != left.size) {
    throw py::value_error("add: x, y and out must have one size (x=" + std::to_string(left.size) +
                          ", y=" + std::to_string(right.size) + ", out=" + std::to_string(to.size) +
                          ")");
  }
  py::gil_scoped_release release;
  add(f, left.size, left.data, right.data, to.data);
}

}  // namespace

void bind_elementwise(py::module_& m) {
  m.def("add", &bind_add, py::arg("x"), py::arg("y"), py::arg("activation"), py::arg("out"));
}

}  // namespace fastconv::python
