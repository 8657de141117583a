#include "fastconv/network.hpp"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "activation.hpp"
#include "arrays.hpp"
#include "core/memory.hpp"

namespace fastconv::python {
namespace {

using Shape = std::vector<py::ssize_t>;
using Three = std::array<std::int64_t, 3>;
using Four = std::array<std::int64_t, 4>;

// A Python object's C++ part, which keeps the object alive: weights packed once, for networks of
// several batch sizes.
template <class T>
std::shared_ptr<const T> shared(const py::object& object) {
  const T* part = &py::cast<const T&>(object);
  return {part, [owner = object.inc_ref().ptr()](const T*) {
            py::gil_scoped_acquire acquire;
            Py_DECREF(owner);
          }};
}

View make_view(const std::string& memory, std::int64_t offset, std::int64_t pixel,
               const Four& size) {
  View view{View::Memory::arena, offset, pixel, size[0], size[1], size[2], size[3]};
  if (memory == "input") view.memory = View::Memory::input;
  if (memory == "output") view.memory = View::Memory::output;
  if (memory == "turn") view.memory = View::Memory::turn;
  return view;
}

std::string text(const Shape& shape) { return py::str(py::tuple(py::cast(shape))); }

Shape shape_of(const py::array& x) { return {x.shape(), x.shape() + x.ndim()}; }

// Shapes are logical, (N, C, H, W); memory is channels-last.
bool is_picture(const Shape& shape) { return shape.size() == 4; }
Shape pixels_last(const Shape& s) { return {s[0], s[2], s[3], s[1]}; }

Shape dense_strides(const Shape& shape, py::ssize_t item, PixelOrder order) {
  Shape strides(shape.size());
  const bool nhwc = is_picture(shape) && order == PixelOrder::nhwc;
  const std::vector<std::size_t> axes = nhwc ? std::vector<std::size_t>{1, 3, 2, 0} : [&] {
    std::vector<std::size_t> all;
    for (std::size_t i = shape.size(); i-- > 0;) all.push_back(i);
    return all;
  }();
  for (std::size_t axis : axes) {
    strides[axis] = item;
    item *= shape[axis];
  }
  return strides;
}

// Axes of one element may have any stride.
bool has_strides(const py::array& x, const Shape& strides, py::ssize_t item) {
  for (std::size_t i = 0; i < strides.size(); ++i) {
    const auto axis = static_cast<py::ssize_t>(i);
    if (x.shape(axis) > 1 && x.strides(axis) != strides[i] * item) return false;
  }
  return true;
}

std::vector<StridedAxis> strided(const std::vector<Three>& axes) {
  std::vector<StridedAxis> result;
  for (const Three& axis : axes) result.push_back({axis[0], axis[1], axis[2]});
  return result;
}

Arithmetic to_arithmetic(const std::string& name) {
  if (name == "add") return Arithmetic::add;
  if (name == "sub") return Arithmetic::subtract;
  if (name == "mul") return Arithmetic::multiply;
  if (name == "div") return Arithmetic::divide;
  throw py::value_error("arithmetic: function must be add, sub, mul or div (function=" + name +
                        ")");
}

// A network with the shapes that its arrays must have.
class BoundNetwork : public Network {
 public:
  BoundNetwork(const View& input, Shape input_shape, Shape output_shape, std::int64_t arena_floats,
               int threads, std::int64_t turn_floats)
      : Network(input, product(output_shape), arena_floats, threads, turn_floats),
        input_shape_(std::move(input_shape)),
        output_shape_(std::move(output_shape)),
        nchw_(dense_strides(input_shape_, 1, PixelOrder::nchw)),
        nhwc_(dense_strides(input_shape_, 1, PixelOrder::nhwc)),
        output_strides_(dense_strides(output_shape_, 1, PixelOrder::nhwc)) {}

  py::array run(const py::array& x, const py::object& out) const {
    py::array held;
    const NetworkInput from = door(x, held);
    py::array to = out.is_none() ? empty() : checked(out, held);
    float* y = static_cast<float*>(to.mutable_data());
    py::gil_scoped_release release;
    Network::run(from, y);
    return to;
  }

  py::array run_timed(const py::array& x) const {
    py::array held;
    const NetworkInput from = door(x, held);
    py::array to = empty();
    float* y = static_cast<float*>(to.mutable_data());
    py::array_t<double> seconds(steps() + 1);
    double* lap = seconds.mutable_data();
    py::gil_scoped_release release;
    Network::run_timed(from, y, lap);
    return seconds;
  }

 private:
  static std::int64_t product(const Shape& shape) {
    std::int64_t total = 1;
    for (py::ssize_t size : shape) total *= size;
    return total;
  }

  // The memory of x, which `held` keeps; layouts that the network does not know are copied.
  NetworkInput door(const py::array& x, py::array& held) const {
    held = x;
    Shape shape = shape_of(x);
    if (py::isinstance<py::array_t<std::uint8_t>>(x)) {
      if (!takes_bytes()) {
        throw py::type_error(
            "compile: pictures of bytes need a network compiled with a preset "
            "(dtype=uint8)");
      }
      if (shape != input_shape_ && is_picture(input_shape_) && shape == pixels_last(input_shape_)) {
        held = contiguous(x);
        return {static_cast<const std::uint8_t*>(held.data()), PixelOrder::nhwc};
      }
      const PixelOrder order = layout(x, std::move(shape), held);
      return {static_cast<const std::uint8_t*>(held.data()), order};
    }
    if (!py::isinstance<py::array_t<float>>(x)) {
      throw py::type_error(
          "compile: x must be float32" + std::string(takes_bytes() ? " or uint8" : "") +
          "; convert it with astype (dtype=" + std::string(py::str(x.dtype())) + ")");
    }
    const PixelOrder order = layout(x, std::move(shape), held);
    return {static_cast<const float*>(held.data()), order};
  }

  PixelOrder layout(const py::array& x, Shape shape, py::array& held) const {
    if (shape != input_shape_) {
      throw py::value_error("compile: x must have the compiled shape (expected=" +
                            text(input_shape_) + ", shape=" + text(shape) + ")");
    }
    if (has_strides(x, nhwc_, x.itemsize())) {
      return is_picture(input_shape_) ? PixelOrder::nhwc : PixelOrder::nchw;
    }
    if (!has_strides(x, nchw_, x.itemsize())) held = contiguous(x);
    return PixelOrder::nchw;
  }

  static py::array contiguous(const py::array& x) {
    return py::array::ensure(x, py::array::c_style);
  }

  // Aligned where it is large: see functional/_arrays.py.
  py::array empty() const {
    constexpr std::int64_t kAlignedFrom = 1024;
    Shape strides = output_strides_;
    for (py::ssize_t& stride : strides) stride *= static_cast<py::ssize_t>(sizeof(float));
    const std::int64_t size = product(output_shape_);
    if (size < kAlignedFrom) return py::array_t<float>(output_shape_, strides);
    auto* buffer = new AlignedBuffer(size);
    const py::capsule owner(buffer, [](void* p) { delete static_cast<AlignedBuffer*>(p); });
    return py::array_t<float>(output_shape_, strides, buffer->data(), owner);
  }

  py::array checked(const py::object& object, const py::array& x) const {
    if (!py::isinstance<py::array>(object)) {
      throw py::type_error("compile: out must be a NumPy array (type=" +
                           std::string(py::str(py::type::of(object).attr("__name__"))) + ")");
    }
    py::array out = object;
    if (!py::isinstance<py::array_t<float>>(out)) {
      throw py::type_error(
          "compile: out must be float32 (dtype=" + std::string(py::str(out.dtype())) + ")");
    }
    const Shape shape = shape_of(out);
    if (shape != output_shape_) {
      throw py::value_error("compile: out must have the output's shape (expected=" +
                            text(output_shape_) + ", shape=" + text(shape) + ")");
    }
    if (!out.writeable()) throw py::value_error("compile: out must be writable");
    if (!has_strides(out, output_strides_, out.itemsize())) {
      throw py::value_error(is_picture(output_shape_)
                                ? "compile: out must have channels-last memory; use "
                                  "to_channels_last"
                                : "compile: out must be C-contiguous");
    }
    const auto* a = static_cast<const char*>(out.data());
    const auto* b = static_cast<const char*>(x.data());
    if (a < b + x.nbytes() && b < a + out.nbytes()) {
      throw py::value_error("compile: out must not overlap x");
    }
    return out;
  }

  Shape input_shape_, output_shape_;
  Shape nchw_, nhwc_, output_strides_;  // in elements
};

}  // namespace

void bind_network(py::module_& m) {
  m.def("measure_read_bandwidth", &measure_read_bandwidth, py::arg("seconds") = 0.1,
        py::call_guard<py::gil_scoped_release>());

  py::class_<View>(m, "View").def(py::init(&make_view), py::arg("memory"), py::arg("offset"),
                                  py::arg("pixel"), py::arg("size"));

  py::class_<BoundNetwork>(m, "Network")
      .def(py::init<const View&, Shape, Shape, std::int64_t, int, std::int64_t>(), py::arg("input"),
           py::arg("input_shape"), py::arg("output_shape"), py::arg("arena_floats"),
           py::arg("threads"), py::arg("turn_floats") = 0)
      .def("begin_turn", &BoundNetwork::begin_turn)
      .def("end_turns", &BoundNetwork::end_turns)
      .def("run", &BoundNetwork::run, py::arg("x"), py::arg("out") = py::none())
      .def("run_timed", &BoundNetwork::run_timed, py::arg("x"))
      .def("set_byte_table",
           [](BoundNetwork& self, const py::array& table, std::int64_t channels) {
             self.set_byte_table(optional_vector("compile", "table", table, channels * 256));
           })
      .def(
          "add_conv2d",
          [](BoundNetwork& self, const py::object& conv, const View& x,
             const std::optional<View>& residual, const View& y, bool pools) {
            self.add_conv2d(shared<PackedConv2d>(conv), x, residual ? &*residual : nullptr, y,
                            pools);
          },
          py::arg("conv"), py::arg("x"), py::arg("residual"), py::arg("y"),
          py::arg("pools") = false)
      .def("add_conv2d_max_pool2d",
           [](BoundNetwork& self, const py::object& conv, const View& x, const View& y) {
             self.add_conv2d_max_pool2d(shared<PooledConv2d>(conv), x, y);
           })
      .def("add_linear", [](BoundNetwork& self, const py::object& linear, const View& x,
                            const View& y) { self.add_linear(shared<PackedLinear>(linear), x, y); })
      .def("add_max_pool2d", &BoundNetwork::add_max_pool2d)
      .def("add_avg_pool2d", &BoundNetwork::add_avg_pool2d)
      .def("add_adaptive_avg_pool2d", &BoundNetwork::add_adaptive_avg_pool2d)
      .def(
          "add_local_response_norm",
          [](BoundNetwork& self, std::int64_t size, float alpha, float beta, float k, const View& x,
             const View& y) { self.add_local_response_norm({size, alpha, beta, k}, x, y); })
      .def("add_affine",
           [](BoundNetwork& self, const py::array& scale, const py::array& shift,
              const py::object& activation, const View& x, const View& y) {
             self.add_affine(optional_vector("affine", "scale", scale, x.c),
                             optional_vector("affine", "shift", shift, x.c),
                             to_activation("affine", activation), x, y);
           })
      .def("add_activation",
           [](BoundNetwork& self, const py::object& activation, const View& x, const View& y) {
             self.add_activation(to_activation("activation", activation), x, y);
           })
      .def("add_sigmoid", &BoundNetwork::add_sigmoid)
      .def("add_tanh", &BoundNetwork::add_tanh)
      .def("add_prelu",
           [](BoundNetwork& self, const Three& shape, const py::array& slope, const View& x,
              const View& y) {
             self.add_prelu({shape[0], shape[1], shape[2]},
                            optional_vector("prelu", "weight", slope, shape[1]), x, y);
           })
      .def("add_addition",
           [](BoundNetwork& self, const py::object& activation, const View& a, const View& b,
              const View& y) { self.add_addition(to_activation("add", activation), a, b, y); })
      .def("add_arithmetic",
           [](BoundNetwork& self, const std::string& function, const std::vector<Three>& axes,
              const View* a, const View* b, const py::object& constant, const View& y) {
             Array<const float> held{};
             if (!constant.is_none()) {
               held = input<float>("arithmetic", "constant", py::cast<py::array>(constant));
             }
             self.add_arithmetic(to_arithmetic(function), strided(axes), a, b, held.data, held.size,
                                 y);
           })
      .def("add_gather",
           [](BoundNetwork& self, const std::vector<Three>& axes, std::int64_t first, const View& x,
              const View& y) { self.add_gather(strided(axes), first, x, y); })
      .def("add_take", &BoundNetwork::add_take)
      .def("add_softmax",
           [](BoundNetwork& self, const Three& shape, bool logarithm, const View& x,
              const View& y) { self.add_softmax({shape[0], shape[1], shape[2]}, logarithm, x, y); })
      .def("add_copy", &BoundNetwork::add_copy)
      .def("add_pad",
           [](BoundNetwork& self, const Four& sides, float value, const View& x, const View& y) {
             self.add_pad(sides[0], sides[1], sides[2], sides[3], value, x, y);
           })
      .def("add_to_nchw", &BoundNetwork::add_to_nchw)
      .def("add_to_nhwc", &BoundNetwork::add_to_nhwc);
}

}  // namespace fastconv::python
