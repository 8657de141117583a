#include "fastconv/conv.hpp"

#include <array>

#include "activation.hpp"
#include "arrays.hpp"
#include "sizes.hpp"

namespace fastconv::python {
namespace {

using Pair = std::array<std::int64_t, 2>;
using Sides = std::array<std::int64_t, 4>;  // top, bottom, left, right

Conv2dParams make_params(std::int64_t in_channels, const Array<const float>& weight,
                         const Pair& stride, const Sides& padding, const Pair& dilation,
                         std::int64_t groups) {
  Conv2dParams p;
  p.in_channels = in_channels;
  p.out_channels = weight[0];
  p.kernel_h = weight[2];
  p.kernel_w = weight[3];
  p.stride_h = stride[0];
  p.stride_w = stride[1];
  p.pad_top = padding[0];
  p.pad_bottom = padding[1];
  p.pad_left = padding[2];
  p.pad_right = padding[3];
  p.dilation_h = dilation[0];
  p.dilation_w = dilation[1];
  p.groups = groups;
  if (groups >= 1 && in_channels % groups == 0 && weight[1] != in_channels / groups) {
    throw py::value_error(
        "conv2d: weight must have the channels of x / groups as its second axis "
        "(expected=" +
        std::to_string(in_channels / groups) + ", received=" + std::to_string(weight[1]) + ")");
  }
  return p;
}

template <class T>
void check_picture(const char* name, const Array<T>& array, std::int64_t batch, PictureSize size,
                   std::int64_t channels) {
  if (array[0] != batch || array[1] != size.h || array[2] != size.w || array[3] != channels) {
    throw py::value_error(std::string("conv2d: ") + name +
                          " has the wrong shape (expected N,H,W,C=" + std::to_string(batch) + "," +
                          std::to_string(size.h) + "," + std::to_string(size.w) + "," +
                          std::to_string(channels) + ", received=" + std::to_string(array[0]) +
                          "," + std::to_string(array[1]) + "," + std::to_string(array[2]) + "," +
                          std::to_string(array[3]) + ")");
  }
}

const float* optional_picture(const py::object& object, std::int64_t batch, PictureSize size,
                              std::int64_t channels) {
  if (object.is_none()) return nullptr;
  const auto array = input<float>("conv2d", "residual", py::cast<py::array>(object), 4);
  check_picture("residual", array, batch, size, channels);
  return array.data;
}

// In the order of ConvAlgorithm.
constexpr const char* kAlgorithms[] = {"direct", "fastest", "winograd2", "winograd4", "winograd6"};

ConvAlgorithm to_algorithm(const std::string& name) {
  for (int i = 0; i < 5; ++i) {
    if (name == kAlgorithms[i]) return static_cast<ConvAlgorithm>(i);
  }
  throw py::value_error(
      "conv2d: algorithm must be direct, fastest, winograd2, winograd4 or winograd6 (algorithm=" +
      name + ")");
}

}  // namespace

void bind_conv(py::module_& m) {
  m.def(
      "conv2d_output_size",
      [](std::int64_t batch, std::int64_t in_channels, const Pair& size, std::int64_t out_channels,
         const Pair& kernel, const Pair& stride, const Sides& padding, const Pair& dilation,
         std::int64_t groups) {
        const PictureSize out = conv2d_output_size(
            {in_channels, out_channels, kernel[0], kernel[1], stride[0], stride[1], padding[0],
             padding[1], padding[2], padding[3], dilation[0], dilation[1], groups},
            batch, {size[0], size[1]});
        return std::make_pair(out.h, out.w);
      },
      py::arg("batch"), py::arg("in_channels"), py::arg("size"), py::arg("out_channels"),
      py::arg("kernel"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
      py::arg("groups"));

  m.def(
      "conv2d",
      [](const py::array& x, const py::array& weight, const py::object& bias, const Pair& stride,
         const Sides& padding, const Pair& dilation, std::int64_t groups,
         const py::object& residual, const py::object& activation, const std::string& algorithm,
         py::array& out) {
        const ConvAlgorithm how = to_algorithm(algorithm);
        const auto xv = input<float>("conv2d", "x", x, 4);
        const auto wv = input<float>("conv2d", "weight", weight, 4);
        const auto ov = output<float>("conv2d", "out", out, 4);
        const Conv2dParams p = make_params(xv[3], wv, stride, padding, dilation, groups);
        const PictureSize in = {xv[1], xv[2]}, size = conv2d_output_size(p, xv[0], in);
        check_picture("out", ov, xv[0], size, p.out_channels);
        const Epilogue epilogue = {optional_vector("conv2d", "bias", bias, p.out_channels),
                                   optional_picture(residual, xv[0], size, p.out_channels),
                                   to_activation("conv2d", activation)};
        py::gil_scoped_release release;
        conv2d(p, xv[0], in, xv.data, wv.data, epilogue, ov.data, how);
      },
      py::arg("x"), py::arg("weight"), py::arg("bias"), py::arg("stride"), py::arg("padding"),
      py::arg("dilation"), py::arg("groups"), py::arg("residual"), py::arg("activation"),
      py::arg("algorithm"), py::arg("out"));

  m.def(
      "conv2d_backward_input",
      [](const py::array& grad_output, const py::array& weight, const Pair& stride,
         const Sides& padding, const Pair& dilation, std::int64_t groups,
         const std::string& algorithm, py::array& grad_x, bool adds) {
        const ConvAlgorithm how = to_algorithm(algorithm);
        const auto gv = input<float>("conv2d", "grad_output", grad_output, 4);
        const auto wv = input<float>("conv2d", "weight", weight, 4);
        const auto ov = output<float>("conv2d", "grad_x", grad_x, 4);
        const Conv2dParams p = make_params(ov[3], wv, stride, padding, dilation, groups);
        const PictureSize in = {ov[1], ov[2]};
        check_picture("grad_output", gv, ov[0], conv2d_output_size(p, ov[0], in), p.out_channels);
        py::gil_scoped_release release;
        conv2d_backward_input(p, ov[0], in, gv.data, wv.data, ov.data, how, adds);
      },
      py::arg("grad_output"), py::arg("weight"), py::arg("stride"), py::arg("padding"),
      py::arg("dilation"), py::arg("groups"), py::arg("algorithm"), py::arg("grad_x"),
      py::arg("adds"));

  m.def(
      "conv2d_backward_weight",
      [](const py::array& grad_output, const py::array& x, const Pair& stride, const Sides& padding,
         const Pair& dilation, std::int64_t groups, const std::string& algorithm,
         py::array& grad_weight) {
        const ConvAlgorithm how = to_algorithm(algorithm);
        const auto gv = input<float>("conv2d", "grad_output", grad_output, 4);
        const auto xv = input<float>("conv2d", "x", x, 4);
        const auto wv = output<float>("conv2d", "grad_weight", grad_weight, 4);
        const Conv2dParams p = make_params(xv[3], {wv.data, wv.shape, wv.rank, wv.size}, stride,
                                           padding, dilation, groups);
        const PictureSize in = {xv[1], xv[2]};
        check_picture("grad_output", gv, xv[0], conv2d_output_size(p, xv[0], in), p.out_channels);
        py::gil_scoped_release release;
        conv2d_backward_weight(p, xv[0], in, gv.data, xv.data, wv.data, how);
      },
      py::arg("grad_output"), py::arg("x"), py::arg("stride"), py::arg("padding"),
      py::arg("dilation"), py::arg("groups"), py::arg("algorithm"), py::arg("grad_weight"));

  // Returns false, and does nothing, where there is no such kernel.
  m.def(
      "conv2d_maxima_backward",
      [](const py::array& grad_output, const py::array& indices, const py::array& x,
         const py::array& weight, const Pair& stride, const Sides& padding, const Pair& dilation,
         std::int64_t groups, const PoolWindow& window, const py::object& grad_x,
         const py::object& grad_weight) {
        const auto gv = input<float>("conv2d", "grad_output", grad_output, 4);
        const auto iv = input<std::int32_t>("conv2d", "indices", indices, 4);
        const auto xv = input<float>("conv2d", "x", x, 4);
        const auto wv = input<float>("conv2d", "weight", weight, 4);
        const Conv2dParams p = make_params(xv[3], wv, stride, padding, dilation, groups);
        const std::int64_t batch = xv[0];
        const PictureSize in = {xv[1], xv[2]}, out = conv2d_output_size(p, batch, in);
        const PoolSize size = pool_output_size("max_pool2d", {out.h, out.w}, window);
        check_picture("grad_output", gv, batch, {size.h, size.w}, p.out_channels);
        check_picture("indices", iv, batch, {size.h, size.w}, p.out_channels);
        if (!conv2d_maxima_pay(p, window, batch, in)) return false;
        float *to_x = nullptr, *to_weight = nullptr;
        if (!grad_x.is_none()) {
          auto array = py::cast<py::array>(grad_x);
          const auto ov = output<float>("conv2d", "grad_x", array, 4);
          check_picture("grad_x", ov, batch, in, p.in_channels);
          to_x = ov.data;
        }
        if (!grad_weight.is_none()) {
          auto array = py::cast<py::array>(grad_weight);
          const auto ov = output<float>("conv2d", "grad_weight", array, 4);
          require_size("conv2d", "grad_weight", ov, wv.size);
          to_weight = ov.data;
        }
        py::gil_scoped_release release;
        if (to_x != nullptr) {
          conv2d_maxima_backward_input(p, window, batch, in, gv.data, iv.data, wv.data, to_x);
        }
        if (to_weight != nullptr) {
          conv2d_maxima_backward_weight(p, window, batch, in, gv.data, iv.data, xv.data, to_weight);
        }
        return true;
      },
      py::arg("grad_output"), py::arg("indices"), py::arg("x"), py::arg("weight"),
      py::arg("stride"), py::arg("padding"), py::arg("dilation"), py::arg("groups"),
      py::arg("window"), py::arg("grad_x"), py::arg("grad_weight"));

  m.def(
      "fastest_conv2d",
      [](const std::array<py::ssize_t, 4>& weight_shape, const Pair& stride, const Sides& padding,
         const Pair& dilation, std::int64_t groups, std::int64_t batch, const Pair& size,
         bool weights_stay) {
        const Conv2dParams p =
            make_params(weight_shape[1] * groups, {nullptr, weight_shape.data(), 4, 0}, stride,
                        padding, dilation, groups);
        conv2d_output_size(p, batch, {size[0], size[1]});
        return kAlgorithms[static_cast<int>(
            fastest_algorithm(p, batch, {size[0], size[1]}, weights_stay))];
      },
      py::arg("weight_shape"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
      py::arg("groups"), py::arg("batch"), py::arg("size"), py::arg("weights_stay"));

  py::class_<PackedConv2d>(m, "PackedConv2d")
      .def(py::init([](const py::array& weight, const py::object& bias, const Pair& stride,
                       const Sides& padding, const Pair& dilation, std::int64_t groups,
                       const py::object& activation, const std::string& algorithm,
                       std::int64_t batch, const Pair& size, bool weights_stay) {
             const auto wv = input<float>("conv2d", "weight", weight, 4);
             const Conv2dParams p =
                 make_params(wv[1] * groups, wv, stride, padding, dilation, groups);
             const float* b = optional_vector("conv2d", "bias", bias, p.out_channels);
             const Activation f = to_activation("conv2d", activation);
             py::gil_scoped_release release;
             return PackedConv2d(p, wv.data, b, f, to_algorithm(algorithm), batch,
                                 {size[0], size[1]}, weights_stay);
           }),
           py::arg("weight"), py::arg("bias"), py::arg("stride"), py::arg("padding"),
           py::arg("dilation"), py::arg("groups"), py::arg("activation"),
           py::arg("algorithm") = "direct", py::arg("batch") = 1, py::arg("size") = Pair{0, 0},
           py::arg("weights_stay") = true)
      .def_property_readonly(
          "algorithm",
          [](const PackedConv2d& self) { return kAlgorithms[static_cast<int>(self.algorithm())]; })
      .def("output_size",
           [](const PackedConv2d& self, std::int64_t batch, std::int64_t channels,
              const Pair& size) {
             if (channels != self.params().in_channels) {
               throw py::value_error("conv2d: x has the wrong number of channels (expected=" +
                                     std::to_string(self.params().in_channels) +
                                     ", received=" + std::to_string(channels) + ")");
             }
             const PictureSize out = conv2d_output_size(self.params(), batch, {size[0], size[1]});
             return std::make_tuple(batch, self.params().out_channels, out.h, out.w);
           })
      .def(
          "run",
          [](const PackedConv2d& self, const py::array& x, const py::object& residual,
             py::array& out) {
            const auto xv = input<float>("conv2d", "x", x, 4);
            const auto ov = output<float>("conv2d", "out", out, 4);
            const Conv2dParams& p = self.params();
            const PictureSize in = {xv[1], xv[2]};
            check_picture("x", xv, xv[0], in, p.in_channels);
            const PictureSize size = conv2d_output_size(p, xv[0], in);
            check_picture("out", ov, xv[0], size, p.out_channels);
            const float* r = optional_picture(residual, xv[0], size, p.out_channels);
            py::gil_scoped_release release;
            self.run(xv.data, xv[0], in, r, ov.data);
          },
          py::arg("x"), py::arg("residual"), py::arg("out"));

  py::class_<PooledConv2d>(m, "PooledConv2d")
      .def(py::init([](const py::array& weight, const py::object& bias, const Sides& padding,
                       const py::object& activation, const std::string& algorithm) {
             const auto wv = input<float>("conv2d", "weight", weight, 4);
             const Conv2dParams p = make_params(wv[1], wv, {1, 1}, padding, {1, 1}, 1);
             return std::make_unique<PooledConv2d>(
                 p, wv.data, optional_vector("conv2d", "bias", bias, p.out_channels),
                 to_activation("conv2d", activation), to_algorithm(algorithm));
           }),
           py::arg("weight"), py::arg("bias"), py::arg("padding"), py::arg("activation"),
           py::arg("algorithm"))
      .def_property_readonly("algorithm", [](const PooledConv2d& self) {
        return kAlgorithms[static_cast<int>(self.algorithm())];
      });
}

}  // namespace fastconv::python
