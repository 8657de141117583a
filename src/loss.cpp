#include "fastconv/loss.hpp"

#include "arrays.hpp"
#include "sizes.hpp"

namespace fastconv::python {
namespace {

// Arrays of three axes, (outer, classes, inner).
template <class F>
void forward(const char* operation, F function, const py::array& x, py::array& out) {
  const auto from = input<float>(operation, "x", x, 3);
  const auto to = output<float>(operation, "out", out);
  require_size(operation, "out", to, from.size);
  const SoftmaxShape shape{from[0], from[1], from[2]};
  py::gil_scoped_release release;
  function(shape, from.data, to.data);
}

template <class F>
void backward(const char* operation, F function, const py::array& grad_output, const py::array& y,
              py::array& out) {
  const auto from = input<float>(operation, "y", y, 3);
  const auto grad = input<float>(operation, "grad_output", grad_output);
  const auto to = output<float>(operation, "out", out);
  require_size(operation, "grad_output", grad, from.size);
  require_size(operation, "out", to, from.size);
  const SoftmaxShape shape{from[0], from[1], from[2]};
  py::gil_scoped_release release;
  function(shape, grad.data, from.data, to.data);
}

CrossEntropy problem(const char* operation, const Array<const float>& logits,
                     const Array<const std::int64_t>& target, const std::string& reduction,
                     std::int64_t ignore_index, double label_smoothing) {
  require_size(operation, "target", target, logits[0]);
  CrossEntropy p{logits[0], logits[1], ignore_index, Reduction::mean, label_smoothing};
  if (reduction == "none") {
    p.reduction = Reduction::none;
  } else if (reduction == "sum") {
    p.reduction = Reduction::sum;
  } else if (reduction != "mean") {
    throw py::value_error(std::string(operation) +
                          ": reduction must be 'mean', 'sum' or 'none' (reduction='" + reduction +
                          "')");
  }
  return p;
}

void bind_cross_entropy(const py::array& logits, const py::array& target,
                        const std::string& reduction, std::int64_t ignore_index,
                        double label_smoothing, py::array out) {
  constexpr const char* kName = "cross_entropy";
  const auto x = input<float>(kName, "logits", logits, 2);
  const auto classes = input<std::int64_t>(kName, "target", target, 1);
  const auto to = output<float>(kName, "out", out);
  const CrossEntropy p = problem(kName, x, classes, reduction, ignore_index, label_smoothing);
  require_size(kName, "out", to, p.reduction == Reduction::none ? p.rows : 1);
  py::gil_scoped_release release;
  cross_entropy(p, x.data, classes.data, to.data);
}

void bind_cross_entropy_backward(const py::array& grad_output, const py::array& logits,
                                 const py::array& target, const std::string& reduction,
                                 std::int64_t ignore_index, double label_smoothing, py::array out) {
  constexpr const char* kName = "cross_entropy_backward";
  const auto grad = input<float>(kName, "grad_output", grad_output);
  const auto x = input<float>(kName, "logits", logits, 2);
  const auto classes = input<std::int64_t>(kName, "target", target, 1);
  const auto to = output<float>(kName, "out", out);
  const CrossEntropy p = problem(kName, x, classes, reduction, ignore_index, label_smoothing);
  require_size(kName, "grad_output", grad, p.reduction == Reduction::none ? p.rows : 1);
  require_size(kName, "out", to, x.size);
  py::gil_scoped_release release;
  cross_entropy_backward(p, grad.data, x.data, classes.data, to.data);
}

}  // namespace

void bind_loss(py::module_& m) {
  m.def(
      "softmax", [](const py::array& x, py::array out) { forward("softmax", &softmax, x, out); },
      py::arg("x"), py::arg("out"));
  m.def(
      "log_softmax",
      [](const py::array& x, py::array out) { forward("log_softmax", &log_softmax, x, out); },
      py::arg("x"), py::arg("out"));
  m.def(
      "softmax_backward",
      [](const py::array& grad_output, const py::array& y, py::array out) {
        backward("softmax_backward", &softmax_backward, grad_output, y, out);
      },
      py::arg("grad_output"), py::arg("y"), py::arg("out"));
  m.def(
      "log_softmax_backward",
      [](const py::array& grad_output, const py::array& y, py::array out) {
        backward("log_softmax_backward", &log_softmax_backward, grad_output, y, out);
      },
      py::arg("grad_output"), py::arg("y"), py::arg("out"));
  m.def("cross_entropy", &bind_cross_entropy, py::arg("logits"), py::arg("target"),
        py::arg("reduction"), py::arg("ignore_index"), py::arg("label_smoothing"), py::arg("out"));
  m.def("cross_entropy_backward", &bind_cross_entropy_backward, py::arg("grad_output"),
        py::arg("logits"), py::arg("target"), py::arg("reduction"), py::arg("ignore_index"),
        py::arg("label_smoothing"), py::arg("out"));
}

}  // namespace fastconv::python
