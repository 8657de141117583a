#include "fastconv/layout.hpp"

#include <vector>

#include "arrays.hpp"
#include "sizes.hpp"

namespace fastconv::python {
namespace {

void bind_nchw_to_nhwc(const py::array& x, py::array out) {
  const auto from = input<float>("nchw_to_nhwc", "x", x, 4);
  const auto to = output<float>("nchw_to_nhwc", "out", out, 4);
  require_size("nchw_to_nhwc", "out", to, from.size);
  const std::int64_t images = from[0], channels = from[1], pixels = from[2] * from[3];
  py::gil_scoped_release release;
  nchw_to_nhwc(images, channels, pixels, from.data, to.data);
}

void bind_nhwc_to_nchw(const py::array& x, py::array out) {
  const auto from = input<float>("nhwc_to_nchw", "x", x, 4);
  const auto to = output<float>("nhwc_to_nchw", "out", out, 4);
  require_size("nhwc_to_nchw", "out", to, from.size);
  const std::int64_t images = from[0], channels = from[3], pixels = from[1] * from[2];
  py::gil_scoped_release release;
  nhwc_to_nchw(images, channels, pixels, from.data, to.data);
}

// `axis` is an axis of the C-ordered arrays.
void bind_concat(const std::vector<py::array>& xs, int axis, py::array out) {
  const auto to = output<float>("concat", "out", out);
  if (axis < 0 || axis >= to.rank) {
    throw py::value_error("concat: axis must be an axis of out (axis=" + std::to_string(axis) +
                          ", rank=" + std::to_string(to.rank) + ")");
  }
  std::int64_t rows = 1;
  for (int i = 0; i < axis; ++i) rows *= to[i];
  std::vector<ConcatPart> parts;
  std::int64_t size = 0;
  for (const auto& x : xs) {
    const auto from = input<float>("concat", "x", x, static_cast<int>(to.rank));
    std::int64_t columns = 1;
    for (int i = axis; i < from.rank; ++i) columns *= from[i];
    parts.push_back({from.data, columns});
    require_size("concat", "x", from, rows * columns);
    size += from.size;
  }
  require_size("concat", "out", to, size);
  py::gil_scoped_release release;
  concat(rows, parts.data(), static_cast<std::int64_t>(parts.size()), to.data);
}

using Sides = std::vector<std::int64_t>;  // top, bottom, left, right

Pad pad_of(const char* operation, const Array<const float>& x, const Array<const float>& padded,
           const Sides& sides) {
  if (sides.size() != 4) throw py::value_error(std::string(operation) + ": padding has four sides");
  const Pad p{x[0], x[1], x[2], x[3], sides[0], sides[1], sides[2], sides[3]};
  p.validate(operation);
  if (padded[0] != p.n || padded[1] != p.padded_h() || padded[2] != p.padded_w() ||
      padded[3] != p.c) {
    throw py::value_error(std::string(operation) + ": the shapes do not fit the padding");
  }
  return p;
}

void bind_pad(const py::array& x, const Sides& sides, float value, py::array out) {
  const auto from = input<float>("pad", "x", x, 4);
  const auto to = output<float>("pad", "out", out, 4);
  const Pad p = pad_of("pad", from, {to.data, to.shape, to.rank, to.size}, sides);
  py::gil_scoped_release release;
  pad(p, from.data, value, to.data);
}

void bind_pad_backward(const py::array& grad_output, const Sides& sides, py::array out) {
  const auto from = input<float>("pad_backward", "grad_output", grad_output, 4);
  const auto to = output<float>("pad_backward", "out", out, 4);
  const Pad p = pad_of("pad_backward", {to.data, to.shape, to.rank, to.size}, from, sides);
  py::gil_scoped_release release;
  pad_backward(p, from.data, to.data);
}

}  // namespace

void bind_layout(py::module_& m) {
  m.def("nchw_to_nhwc", &bind_nchw_to_nhwc, py::arg("x"), py::arg("out"));
  m.def("nhwc_to_nchw", &bind_nhwc_to_nchw, py::arg("x"), py::arg("out"));
  m.def("concat", &bind_concat, py::arg("xs"), py::arg("axis"), py::arg("out"));
  m.def("pad", &bind_pad, py::arg("x"), py::arg("sides"), py::arg("value"), py::arg("out"));
  m.def("pad_backward", &bind_pad_backward, py::arg("grad_output"), py::arg("sides"),
        py::arg("out"));
}

}  // namespace fastconv::python
