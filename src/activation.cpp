#include "activation.hpp"

#include "arrays.hpp"
#include "sizes.hpp"

namespace fastconv::python {
namespace {

// out = f(x), all of them dense and in one memory order.
template <class F>
void map(const char* operation, const py::array& x, py::array& out, const F& f) {
  const auto from = input<float>(operation, "x", x);
  const auto to = output<float>(operation, "out", out);
  require_size(operation, "out", to, from.size);
  py::gil_scoped_release release;
  f(from.size, from.data, to.data);
}

template <class F>
void map_backward(const char* operation, const py::array& grad_output, const py::array& saved,
                  py::array& out, const F& f) {
  const auto grad = input<float>(operation, "grad_output", grad_output);
  const auto from = input<float>(operation, "x or y", saved);
  const auto to = output<float>(operation, "out", out);
  require_size(operation, "grad_output", grad, from.size);
  require_size(operation, "out", to, from.size);
  py::gil_scoped_release release;
  f(from.size, grad.data, from.data, to.data);
}

void bind_activate(const py::array& x, const py::object& activation, py::array out) {
  const Activation a = to_activation("activate", activation);
  map("activate", x, out,
      [a](std::int64_t n, const float* from, float* to) { activate(a, n, from, to); });
}

void bind_activate_backward(const py::array& grad_output, const py::array& x,
                            const py::object& activation, py::array out) {
  const Activation a = to_activation("activate_backward", activation);
  map_backward("activate_backward", grad_output, x, out,
               [a](std::int64_t n, const float* grad, const float* from, float* to) {
                 activate_backward(a, n, grad, from, to);
               });
}

// Arrays of three axes: (outer, channels, inner).
ChannelShape channel_shape(const Array<const float>& x) { return {x[0], x[1], x[2]}; }

void bind_prelu(const py::array& x, const py::array& weight, py::array out) {
  const auto from = input<float>("prelu", "x", x, 3);
  const auto slope = input<float>("prelu", "weight", weight, 1);
  const auto to = output<float>("prelu", "out", out);
  require_size("prelu", "weight", slope, from[1]);
  require_size("prelu", "out", to, from.size);
  const ChannelShape shape = channel_shape(from);
  py::gil_scoped_release release;
  prelu(shape, from.data, slope.data, to.data);
}

void bind_prelu_backward(const py::array& grad_output, const py::array& x, const py::array& weight,
                         py::array grad_x, py::array grad_weight) {
  constexpr const char* kName = "prelu_backward";
  const auto grad = input<float>(kName, "grad_output", grad_output);
  const auto from = input<float>(kName, "x", x, 3);
  const auto slope = input<float>(kName, "weight", weight, 1);
  const auto to = output<float>(kName, "grad_x", grad_x);
  const auto to_slope = output<float>(kName, "grad_weight", grad_weight, 1);
  require_size(kName, "grad_output", grad, from.size);
  require_size(kName, "weight", slope, from[1]);
  require_size(kName, "grad_x", to, from.size);
  require_size(kName, "grad_weight", to_slope, from[1]);
  const ChannelShape shape = channel_shape(from);
  py::gil_scoped_release release;
  prelu_backward(shape, grad.data, from.data, slope.data, to.data, to_slope.data);
}

}  // namespace

void bind_activation(py::module_& m) {
  m.def("activate", &bind_activate, py::arg("x"), py::arg("activation"), py::arg("out"));
  m.def("activate_backward", &bind_activate_backward, py::arg("grad_output"), py::arg("x"),
        py::arg("activation"), py::arg("out"));
  m.def(
      "sigmoid", [](const py::array& x, py::array out) { map("sigmoid", x, out, &sigmoid); },
      py::arg("x"), py::arg("out"));
  m.def(
      "sigmoid_backward",
      [](const py::array& grad_output, const py::array& y, py::array out) {
        map_backward("sigmoid_backward", grad_output, y, out, &sigmoid_backward);
      },
      py::arg("grad_output"), py::arg("y"), py::arg("out"));
  m.def(
      "tanh", [](const py::array& x, py::array out) { map("tanh", x, out, &fastconv::tanh); },
      py::arg("x"), py::arg("out"));
  m.def(
      "tanh_backward",
      [](const py::array& grad_output, const py::array& y, py::array out) {
        map_backward("tanh_backward", grad_output, y, out, &tanh_backward);
      },
      py::arg("grad_output"), py::arg("y"), py::arg("out"));
  m.def("prelu", &bind_prelu, py::arg("x"), py::arg("weight"), py::arg("out"));
  m.def("prelu_backward", &bind_prelu_backward, py::arg("grad_output"), py::arg("x"),
        py::arg("weight"), py::arg("grad_x"), py::arg("grad_weight"));
}

}  // namespace fastconv::python
