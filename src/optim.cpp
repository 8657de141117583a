#include "fastconv/optim.hpp"

#include <optional>
#include <vector>

#include "arrays.hpp"
#include "sizes.hpp"

namespace fastconv::python {
namespace {

using Arrays = std::vector<py::array>;

void require_count(const char* operation, const char* name, const Arrays& arrays,
                   std::size_t expected) {
  if (arrays.size() != expected) {
    throw py::value_error(std::string(operation) + ": there must be as many " + name +
                          " as parameters (" + name + "=" + std::to_string(arrays.size()) +
                          ", parameters=" + std::to_string(expected) + ")");
  }
}

// The parameters, written, and what is read beside them.
std::vector<StepArrays> step_arrays(const char* operation, Arrays& params, const char* name,
                                    const Arrays& grads) {
  require_count(operation, name, grads, params.size());
  std::vector<StepArrays> arrays;
  arrays.reserve(params.size());
  for (std::size_t i = 0; i < params.size(); ++i) {
    const auto param = output<float>(operation, "params", params[i]);
    const auto grad = input<float>(operation, name, grads[i]);
    require_size(operation, name, grad, param.size);
    arrays.push_back({param.size, param.data, grad.data});
  }
  return arrays;
}

void add_state(const char* operation, const char* name, Arrays& state,
               std::vector<StepArrays>& arrays, float* StepArrays::* member) {
  require_count(operation, name, state, arrays.size());
  for (std::size_t i = 0; i < state.size(); ++i) {
    const auto array = output<float>(operation, name, state[i]);
    require_size(operation, name, array, arrays[i].size);
    arrays[i].*member = array.data;
  }
}

void bind_sgd_step(Arrays params, const Arrays& grads, std::optional<Arrays> velocities, double lr,
                   double momentum, double dampening, double weight_decay, bool nesterov,
                   bool first, bool lr_in_velocity) {
  auto arrays = step_arrays("sgd_step", params, "grads", grads);
  if (velocities) add_state("sgd_step", "velocities", *velocities, arrays, &StepArrays::mean);
  const Sgd options{lr, momentum, dampening, weight_decay, nesterov, first, lr_in_velocity};
  py::gil_scoped_release release;
  sgd_step(options, static_cast<std::int64_t>(arrays.size()), arrays.data());
}

void bind_adam_step(Arrays params, const Arrays& grads, Arrays exp_avgs, Arrays exp_avg_sqs,
                    std::int64_t step, double lr, double beta1, double beta2, double eps,
                    double weight_decay, bool decoupled) {
  auto arrays = step_arrays("adam_step", params, "grads", grads);
  add_state("adam_step", "exp_avgs", exp_avgs, arrays, &StepArrays::mean);
  add_state("adam_step", "exp_avg_sqs", exp_avg_sqs, arrays, &StepArrays::square);
  const Adam options{step, lr, beta1, beta2, eps, weight_decay, decoupled};
  py::gil_scoped_release release;
  adam_step(options, static_cast<std::int64_t>(arrays.size()), arrays.data());
}

void bind_average_step(Arrays averages, const Arrays& params, double decay) {
  const auto arrays = step_arrays("average_step", averages, "params", params);
  py::gil_scoped_release release;
  average_step(decay, static_cast<std::int64_t>(arrays.size()), arrays.data());
}

double bind_sum_of_squares(const Arrays& arrays) {
  std::vector<std::int64_t> sizes;
  std::vector<const float*> data;
  for (const py::array& x : arrays) {
    const auto array = input<float>("sum_of_squares", "arrays", x);
    sizes.push_back(array.size);
    data.push_back(array.data);
  }
  py::gil_scoped_release release;
  return sum_of_squares(static_cast<std::int64_t>(sizes.size()), sizes.data(), data.data());
}

}  // namespace

void bind_optim(py::module_& m) {
  m.def("sgd_step", &bind_sgd_step, py::arg("params"), py::arg("grads"), py::arg("velocities"),
        py::arg("lr"), py::arg("momentum"), py::arg("dampening"), py::arg("weight_decay"),
        py::arg("nesterov"), py::arg("first"), py::arg("lr_in_velocity"));
  m.def("adam_step", &bind_adam_step, py::arg("params"), py::arg("grads"), py::arg("exp_avgs"),
        py::arg("exp_avg_sqs"), py::arg("step"), py::arg("lr"), py::arg("beta1"), py::arg("beta2"),
        py::arg("eps"), py::arg("weight_decay"), py::arg("decoupled"));
  m.def("average_step", &bind_average_step, py::arg("averages"), py::arg("params"),
        py::arg("decay"));
  m.def("sum_of_squares", &bind_sum_of_squares, py::arg("arrays"));
}

}  // namespace fastconv::python
