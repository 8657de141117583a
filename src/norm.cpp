#include "fastconv/norm.hpp"

#include "activation.hpp"
#include "arrays.hpp"
#include "sizes.hpp"

namespace fastconv::python {
namespace {

// Channels are the last axis, all others are rows.
template <class T>
NormShape norm_shape(const char* operation, const Array<T>& x) {
  if (x.rank < 1) throw py::value_error(std::string(operation) + ": x must have a channel axis");
  const std::int64_t channels = x[static_cast<int>(x.rank) - 1];
  return {channels == 0 ? 0 : x.size / channels, channels};
}

Array<float> channel_output(const char* operation, const char* name, py::array& array,
                            const NormShape& shape) {
  const auto out = output<float>(operation, name, array, 1);
  require_size(operation, name, out, shape.channels);
  return out;
}

// None, or an array of `size` elements; nullptr for None.
const float* optional_rows(const char* operation, const char* name, const py::object& object,
                           std::int64_t size) {
  if (object.is_none()) return nullptr;
  const auto array = input<float>(operation, name, py::cast<py::array>(object));
  require_size(operation, name, array, size);
  return array.data;
}

void bind_batch_norm(const py::array& x, const py::array& mean, const py::array& var,
                     const py::object& weight, const py::object& bias, float eps,
                     const py::object& activation, py::array out) {
  constexpr const char* kName = "batch_norm";
  const auto in = input<float>(kName, "x", x);
  const NormShape shape = norm_shape(kName, in);
  const float* m = optional_vector(kName, "mean", mean, shape.channels);
  const float* v = optional_vector(kName, "var", var, shape.channels);
  const float* w = optional_vector(kName, "weight", weight, shape.channels);
  const float* b = optional_vector(kName, "bias", bias, shape.channels);
  const Activation f = to_activation(kName, activation);
  const auto y = output<float>(kName, "out", out);
  require_size(kName, "out", y, in.size);
  py::gil_scoped_release release;
  batch_norm(shape, in.data, m, v, w, b, eps, f, y.data);
}

void bind_batch_norm_training(const py::array& x, const py::object& weight, const py::object& bias,
                              float eps, const py::object& activation, const py::object& residual,
                              py::array out, py::array mean, py::array var) {
  constexpr const char* kName = "batch_norm_training";
  const auto in = input<float>(kName, "x", x);
  const NormShape shape = norm_shape(kName, in);
  const float* w = optional_vector(kName, "weight", weight, shape.channels);
  const float* b = optional_vector(kName, "bias", bias, shape.channels);
  const auto y = output<float>(kName, "out", out);
  require_size(kName, "out", y, in.size);
  const auto m = channel_output(kName, "mean", mean, shape);
  const auto v = channel_output(kName, "var", var, shape);
  const Activation f = to_activation(kName, activation);
  const float* r = optional_rows(kName, "residual", residual, in.size);
  py::gil_scoped_release release;
  batch_norm_training(shape, in.data, w, b, eps, f, r, y.data, m.data, v.data);
}

void bind_batch_norm_backward(const py::array& grad_output, const py::array& x,
                              const py::array& mean, const py::array& var, const py::object& weight,
                              float eps, bool training, bool relu, const py::object& bias,
                              const py::object& out, py::array grad_x, py::array grad_weight,
                              py::array grad_bias, const py::object& grad_residual) {
  constexpr const char* kName = "batch_norm_backward";
  const auto in = input<float>(kName, "x", x);
  const NormShape shape = norm_shape(kName, in);
  const auto gy = input<float>(kName, "grad_output", grad_output);
  require_size(kName, "grad_output", gy, in.size);
  const float* m = optional_vector(kName, "mean", mean, shape.channels);
  const float* v = optional_vector(kName, "var", var, shape.channels);
  const float* w = optional_vector(kName, "weight", weight, shape.channels);
  const float* b = optional_vector(kName, "bias", bias, shape.channels);
  const auto gx = output<float>(kName, "grad_x", grad_x);
  require_size(kName, "grad_x", gx, in.size);
  const auto gw = channel_output(kName, "grad_weight", grad_weight, shape);
  const auto gb = channel_output(kName, "grad_bias", grad_bias, shape);
  const float* y = optional_rows(kName, "output", out, in.size);
  float* gr = nullptr;
  if (!grad_residual.is_none()) {
    py::array array = py::cast<py::array>(grad_residual);
    const auto rows = output<float>(kName, "grad_residual", array);
    require_size(kName, "grad_residual", rows, in.size);
    gr = rows.data;
  }
  py::gil_scoped_release release;
  batch_norm_backward(shape, gy.data, in.data, m, v, w, eps, training, relu, b, y, gx.data, gw.data,
                      gb.data, gr);
}

void bind_local_response_norm(const py::array& x, std::int64_t size, float alpha, float beta,
                              float k, py::array out) {
  constexpr const char* kName = "local_response_norm";
  const auto in = input<float>(kName, "x", x);
  const auto y = output<float>(kName, "out", out);
  require_size(kName, "out", y, in.size);
  const NormShape shape = norm_shape(kName, in);
  py::gil_scoped_release release;
  local_response_norm(shape, {size, alpha, beta, k}, in.data, y.data);
}

void bind_local_response_norm_backward(const py::array& grad_output, const py::array& x,
                                       std::int64_t size, float alpha, float beta, float k,
                                       py::array grad_x) {
  constexpr const char* kName = "local_response_norm_backward";
  const auto in = input<float>(kName, "x", x);
  const auto gy = input<float>(kName, "grad_output", grad_output);
  require_size(kName, "grad_output", gy, in.size);
  const auto gx = output<float>(kName, "out", grad_x);
  require_size(kName, "out", gx, in.size);
  const NormShape shape = norm_shape(kName, in);
  py::gil_scoped_release release;
  local_response_norm_backward(shape, {size, alpha, beta, k}, gy.data, in.data, gx.data);
}

}  // namespace

void bind_norm(py::module_& m) {
  m.def("batch_norm", &bind_batch_norm, py::arg("x"), py::arg("mean"), py::arg("var"),
        py::arg("weight").none(true), py::arg("bias").none(true), py::arg("eps"),
        py::arg("activation").none(true), py::arg("out"));
  m.def("batch_norm_training", &bind_batch_norm_training, py::arg("x"),
        py::arg("weight").none(true), py::arg("bias").none(true), py::arg("eps"),
        py::arg("activation").none(true), py::arg("residual").none(true), py::arg("out"),
        py::arg("mean"), py::arg("var"));
  m.def("batch_norm_backward", &bind_batch_norm_backward, py::arg("grad_output"), py::arg("x"),
        py::arg("mean"), py::arg("var"), py::arg("weight").none(true), py::arg("eps"),
        py::arg("training"), py::arg("relu"), py::arg("bias").none(true),
        py::arg("output").none(true), py::arg("grad_x"), py::arg("grad_weight"),
        py::arg("grad_bias"), py::arg("grad_residual").none(true));
  m.def("local_response_norm", &bind_local_response_norm, py::arg("x"), py::arg("size"),
        py::arg("alpha"), py::arg("beta"), py::arg("k"), py::arg("out"));
  m.def("local_response_norm_backward", &bind_local_response_norm_backward, py::arg("grad_output"),
        py::arg("x"), py::arg("size"), py::arg("alpha"), py::arg("beta"), py::arg("k"),
        py::arg("out"));
}

}  // namespace fastconv::python
