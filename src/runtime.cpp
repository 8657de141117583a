#include "fastconv/runtime.hpp"

#include "arrays.hpp"
#include "fastconv/error.hpp"
#include "recycler.hpp"

namespace fastconv::python {
namespace {

// Never deleted: arrays may outlive the module.
Recycler& recycler() {
  static Recycler* instance = new Recycler;
  return *instance;
}

// Uninitialised floats on a cache line's boundary: whole-vector stores then never split a line,
// and large results can be written past the caches.
py::array empty_floats(std::int64_t size) {
  float* memory = recycler().take(size);
  const py::capsule owner(memory, [](void* p) { recycler().give(static_cast<float*>(p)); });
  return py::array_t<float>(size, memory, owner);
}

}  // namespace

void bind_runtime(py::module_& m) {
  // fastconv::Error is a std::invalid_argument, which pybind11 turns into ValueError.
  m.def("get_isa", &get_isa);
  m.def("set_isa", &set_isa, py::arg("name"));
  m.def("available_isas", &available_isas);
  m.def("get_num_threads", &get_num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("threads"));
  m.def("kept_weight_bytes", &kept_weight_bytes);
  m.def("empty_floats", &empty_floats, py::arg("size"));
  m.def(
      "empty_cache", [] { recycler().release(); },
      "Give the memory of results that are gone, which is kept for those to come, back to the "
      "system.");
  m.def(
      "memory_allocated", [] { return recycler().used_bytes(); },
      "Return the bytes of the arrays that kernels returned and that are still in use.");
  m.def(
      "max_memory_allocated", [] { return recycler().peak_bytes(); },
      "Return the most bytes that memory_allocated ever was.");
  m.def("measure_peak_gflops", &measure_peak_gflops, py::arg("seconds") = 0.1,
        py::call_guard<py::gil_scoped_release>());
  m.def("build_info", [] {
    py::dict info;
    info["version"] = FASTCONV_VERSION;
    info["build_type"] = FASTCONV_BUILD_TYPE;
    info["compiler"] = compiler();
    info["openmp"] = has_openmp();
    info["l2_cache_bytes"] = l2_cache_bytes();
    return info;
  });
}

}  // namespace fastconv::python
