#include "fastconv/gemm.hpp"

#include "activation.hpp"
#include "arrays.hpp"
#include "fastconv/conv.hpp"

namespace fastconv::python {
namespace {

const float* optional_matrix(const char* op, const char* name, const py::object& object,
                             std::int64_t rows, std::int64_t columns) {
  if (object.is_none()) return nullptr;
  const auto array = input<float>(op, name, py::cast<py::array>(object), 2);
  if (array[0] != rows || array[1] != columns) {
    throw py::value_error(std::string(op) + ": " + name + " must have the result's shape");
  }
  return array.data;
}

void bind_gemm_function(const py::array& a, const py::array& b, double alpha, double beta,
                        bool trans_a, bool trans_b, const py::object& bias,
                        const py::object& residual, const py::object& activation, py::array& c) {
  const auto av = input<float>("gemm", "a", a, 2), bv = input<float>("gemm", "b", b, 2);
  const auto cv = output<float>("gemm", "c", c, 2);
  GemmShape shape;
  shape.m = cv[0];
  shape.n = cv[1];
  shape.k = av[trans_a ? 0 : 1];
  shape.trans_a = trans_a;
  shape.trans_b = trans_b;
  shape.lda = av[1];
  shape.ldb = bv[1];
  shape.ldc = cv[1];
  if (av[trans_a ? 1 : 0] != shape.m || bv[trans_b ? 1 : 0] != shape.k ||
      bv[trans_b ? 0 : 1] != shape.n) {
    throw py::value_error("gemm: the shapes of a, b and c do not fit");
  }
  const Epilogue epilogue = {optional_vector("gemm", "bias", bias, shape.n),
                             optional_matrix("gemm", "residual", residual, shape.m, shape.n),
                             to_activation("gemm", activation)};
  py::gil_scoped_release release;
  gemm(shape, static_cast<float>(alpha), av.data, bv.data, static_cast<float>(beta), cv.data,
       epilogue);
}

}  // namespace

void bind_gemm(py::module_& m) {
  m.def("gemm", &bind_gemm_function, py::arg("a"), py::arg("b"), py::arg("alpha"), py::arg("beta"),
        py::arg("trans_a"), py::arg("trans_b"), py::arg("bias"), py::arg("residual"),
        py::arg("activation"), py::arg("c"));

  m.def(
      "column_sums",
      [](const py::array& x, py::array& sums) {
        const auto xv = input<float>("column_sums", "x", x, 2);
        const auto sv = output<float>("column_sums", "sums", sums, 1);
        if (sv.size != xv[1])
          throw py::value_error("column_sums: sums must have one value per column");
        py::gil_scoped_release release;
        column_sums(xv.data, xv[0], xv[1], sv.data);
      },
      py::arg("x"), py::arg("sums"));

  py::class_<PackedLinear>(m, "PackedLinear")
      .def(py::init([](const py::array& weight, const py::object& bias,
                       const py::object& activation, const std::string& weights) {
             const auto w = input<float>("linear", "weight", weight, 2);
             const float* b = optional_vector("linear", "bias", bias, w[0]);
             const Activation f = to_activation("linear", activation);
             if (weights != "fp32" && weights != "bf16") {
               throw py::value_error("linear: weights must be fp32 or bf16 (weights=" + weights +
                                     ")");
             }
             const auto type = weights == "bf16" ? WeightType::bf16 : WeightType::fp32;
             py::gil_scoped_release release;
             return PackedLinear(w.data, b, w[0], w[1], f, type);
           }),
           py::arg("weight"), py::arg("bias"), py::arg("activation"), py::arg("weights") = "fp32")
      .def_property_readonly("in_features", &PackedLinear::in_features)
      .def_property_readonly("out_features", &PackedLinear::out_features)
      .def(
          "run",
          [](const PackedLinear& self, const py::array& x, py::array& out) {
            const auto xv = input<float>("linear", "x", x, 2);
            const auto ov = output<float>("linear", "out", out, 2);
            if (xv[1] != self.in_features() || ov[1] != self.out_features() || xv[0] != ov[0]) {
              throw py::value_error("linear: the shapes of x and out do not fit the weight");
            }
            py::gil_scoped_release release;
            self.run(xv.data, xv[0], ov.data);
          },
          py::arg("x"), py::arg("out"));
}

}  // namespace fastconv::python
