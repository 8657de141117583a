#include "fastconv/random.hpp"

#include "arrays.hpp"
#include "sizes.hpp"

namespace fastconv::python {
namespace {

void bind_dropout_dense(const py::array& x, double p, std::uint64_t seed, py::array out) {
  const auto from = input<float>("dropout", "x", x);
  const auto to = output<float>("dropout", "out", out);
  require_size("dropout", "out", to, from.size);
  py::gil_scoped_release release;
  dropout({p, seed}, from.size, from.data, to.data);
}

// Arrays (N, H, W, C), numbered in the order (N, C, H, W).
void bind_dropout_channels_last(const py::array& x, double p, std::uint64_t seed, py::array out) {
  const auto from = input<float>("dropout", "x", x, 4);
  const auto to = output<float>("dropout", "out", out);
  require_size("dropout", "out", to, from.size);
  const std::int64_t images = from[0], pixels = from[1] * from[2], channels = from[3];
  py::gil_scoped_release release;
  dropout_channels_last({p, seed}, images, channels, pixels, from.data, to.data);
}

}  // namespace

void bind_random(py::module_& m) {
  m.def("dropout", &bind_dropout_dense, py::arg("x"), py::arg("p"), py::arg("seed"),
        py::arg("out"));
  m.def("dropout_channels_last", &bind_dropout_channels_last, py::arg("x"), py::arg("p"),
        py::arg("seed"), py::arg("out"));
}

}  // namespace fastconv::python
