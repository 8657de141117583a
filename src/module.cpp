// fastconv._core: registers the bindings of every kernel family.
#include "arrays.hpp"

PYBIND11_MODULE(_core, m) {
  using namespace fastconv::python;
  m.doc() = "C++ kernels of fastconv. Private: use fastconv.functional.";
  m.attr("__version__") = FASTCONV_VERSION;
  bind_runtime(m);
  bind_gemm(m);
  bind_conv(m);
  bind_pool(m);
  bind_norm(m);
  bind_activation(m);
  bind_loss(m);
  bind_optim(m);
  bind_random(m);
  bind_elementwise(m);
  bind_layout(m);
  bind_network(m);
}
