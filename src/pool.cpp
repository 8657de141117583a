#include "fastconv/pool.hpp"

#include <pybind11/stl.h>

#include <array>
#include <string>

#include "arrays.hpp"

namespace fastconv::python {
namespace {

using Pair = std::array<std::int64_t, 2>;
using Sides = std::array<std::int64_t, 4>;  // top, bottom, left, right

PoolWindow make_window(Pair kernel, Pair stride, Sides padding, Pair dilation,
                       const std::string& rounding, bool count_include_pad) {
  PoolWindow w;
  w.kernel_h = kernel[0], w.kernel_w = kernel[1];
  w.stride_h = stride[0], w.stride_w = stride[1];
  w.pad_top = padding[0], w.pad_bottom = padding[1];
  w.pad_left = padding[2], w.pad_right = padding[3];
  w.dilation_h = dilation[0], w.dilation_w = dilation[1];
  w.rounding = rounding == "caffe" ? PoolRounding::caffe
               : rounding == "up"  ? PoolRounding::up
                                   : PoolRounding::down;
  w.count_include_pad = count_include_pad;
  return w;
}

// Two (N, H, W, C) arrays that must agree in N and C: the larger pictures, and the smaller ones.
template <class X, class Y>
PoolShape check_shapes(const char* operation, const Array<X>& x, const Array<Y>& y) {
  if (x[0] != y[0] || x[3] != y[3]) {
    throw py::value_error(std::string(operation) + ": arrays differ in batch or channels (n=" +
                          std::to_string(x[0]) + ", c=" + std::to_string(x[3]) +
                          ", n=" + std::to_string(y[0]) + ", c=" + std::to_string(y[3]) + ")");
  }
  return {x[0], x[1], x[2], x[3]};
}

template <class Y>
void check_size(const char* operation, const Array<Y>& y, PoolSize size) {
  if (y[1] != size.h || y[2] != size.w) {
    throw py::value_error(std::string(operation) + ": outputs have the wrong size (expected_h=" +
                          std::to_string(size.h) + ", expected_w=" + std::to_string(size.w) +
                          ", h=" + std::to_string(y[1]) + ", w=" + std::to_string(y[2]) + ")");
  }
}

void bind_max_pool2d(py::module_& m) {
  m.def(
      "max_pool2d",
      [](const py::array& x, const PoolWindow& window, py::array y, const py::object& indices) {
        const char* op = "max_pool2d";
        const auto in = input<float>(op, "x", x, 4);
        const auto out = output<float>(op, "out", y, 4);
        const PoolShape shape = check_shapes(op, in, out);
        check_size(op, out, pool_output_size(op, {shape.h, shape.w}, window));
        std::int32_t* where = nullptr;
        if (!indices.is_none()) {
          auto array = py::cast<py::array>(indices);
          const auto index = output<std::int32_t>(op, "indices", array, 4);
          check_shapes(op, in, index);
          check_size(op, index, {out[1], out[2]});
          where = index.data;
        }
        py::gil_scoped_release release;
        max_pool2d(shape, window, in.data, out.data, where);
      },
      py::arg("x"), py::arg("window"), py::arg("out"), py::arg("indices") = py::none());
  m.def(
      "max_pool2d_backward",
      [](const py::array& grad_output, const py::array& indices, const py::object& window,
         py::array grad_x) {
        const char* op = "max_pool2d_backward";
        const auto gy = input<float>(op, "grad_output", grad_output, 4);
        const auto index = input<std::int32_t>(op, "indices", indices, 4);
        const auto gx = output<float>(op, "out", grad_x, 4);
        const PoolShape shape = check_shapes(op, gx, gy);
        check_shapes(op, gy, index);
        check_size(op, index, {gy[1], gy[2]});
        if (window.is_none()) {
          py::gil_scoped_release release;
          max_pool2d_backward(shape, PoolSize{gy[1], gy[2]}, gy.data, index.data, gx.data);
          return;
        }
        const auto w = py::cast<PoolWindow>(window);
        check_size(op, gy, pool_output_size(op, {shape.h, shape.w}, w));
        py::gil_scoped_release release;
        max_pool2d_backward(shape, w, gy.data, index.data, gx.data);
      },
      py::arg("grad_output"), py::arg("indices"), py::arg("window").none(true), py::arg("out"));
}

void bind_avg_pool2d(py::module_& m) {
  m.def(
      "avg_pool2d",
      [](const py::array& x, const PoolWindow& window, py::array y) {
        const char* op = "avg_pool2d";
        const auto in = input<float>(op, "x", x, 4);
        const auto out = output<float>(op, "out", y, 4);
        const PoolShape shape = check_shapes(op, in, out);
        check_size(op, out, pool_output_size(op, {shape.h, shape.w}, window));
        py::gil_scoped_release release;
        avg_pool2d(shape, window, in.data, out.data);
      },
      py::arg("x"), py::arg("window"), py::arg("out"));
  m.def(
      "avg_pool2d_backward",
      [](const py::array& grad_output, const PoolWindow& window, py::array grad_x) {
        const char* op = "avg_pool2d_backward";
        const auto gy = input<float>(op, "grad_output", grad_output, 4);
        const auto gx = output<float>(op, "out", grad_x, 4);
        const PoolShape shape = check_shapes(op, gx, gy);
        check_size(op, gy, pool_output_size(op, {shape.h, shape.w}, window));
        py::gil_scoped_release release;
        avg_pool2d_backward(shape, window, gy.data, gx.data);
      },
      py::arg("grad_output"), py::arg("window"), py::arg("out"));
}

void bind_adaptive_avg_pool2d(py::module_& m) {
  m.def(
      "adaptive_avg_pool2d",
      [](const py::array& x, py::array y) {
        const char* op = "adaptive_avg_pool2d";
        const auto in = input<float>(op, "x", x, 4);
        const auto out = output<float>(op, "out", y, 4);
        const PoolShape shape = check_shapes(op, in, out);
        py::gil_scoped_release release;
        adaptive_avg_pool2d(shape, {out[1], out[2]}, in.data, out.data);
      },
      py::arg("x"), py::arg("out"));
  m.def(
      "global_avg_pool2d",
      [](const py::array& x, py::array y) {
        const char* op = "global_avg_pool2d";
        const auto in = input<float>(op, "x", x, 4);
        const auto out = output<float>(op, "out", y, 4);
        const PoolShape shape = check_shapes(op, in, out);
        check_size(op, out, {1, 1});
        py::gil_scoped_release release;
        global_avg_pool2d(shape, in.data, out.data);
      },
      py::arg("x"), py::arg("out"));
  m.def(
      "adaptive_avg_pool2d_backward",
      [](const py::array& grad_output, py::array grad_x) {
        const char* op = "adaptive_avg_pool2d_backward";
        const auto gy = input<float>(op, "grad_output", grad_output, 4);
        const auto gx = output<float>(op, "out", grad_x, 4);
        const PoolShape shape = check_shapes(op, gx, gy);
        py::gil_scoped_release release;
        adaptive_avg_pool2d_backward(shape, {gy[1], gy[2]}, gy.data, gx.data);
      },
      py::arg("grad_output"), py::arg("out"));
}

}  // namespace

void bind_pool(py::module_& m) {
  py::class_<PoolWindow>(m, "PoolWindow")
      .def(py::init(&make_window), py::arg("kernel"), py::arg("stride"), py::arg("padding"),
           py::arg("dilation"), py::arg("rounding"), py::arg("count_include_pad"));
  m.def(
      "pool_output_size",
      [](const std::string& operation, std::int64_t h, std::int64_t w, const PoolWindow& window) {
        const PoolSize size = pool_output_size(operation.c_str(), {h, w}, window);
        return py::make_tuple(size.h, size.w);
      },
      py::arg("operation"), py::arg("h"), py::arg("w"), py::arg("window"));
  bind_max_pool2d(m);
  bind_avg_pool2d(m);
  bind_adaptive_avg_pool2d(m);
}

}  // namespace fastconv::python
