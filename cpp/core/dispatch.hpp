// Picks one of the per-ISA copies of a kernel table.
//
// Every file named *.kernel.cpp is compiled once per instruction set, with that set's flags and
// with FASTCONV_ISA defined to its name, and defines its tables in namespace
// fastconv::FASTCONV_ISA. Code outside those files is baseline code and reaches them only through
// active<Table>().
#pragma once

namespace fastconv {

enum class Isa { baseline, avx2, avx512 };

// The instruction set in use (see fastconv/runtime.hpp).
Isa active_isa();

// FASTCONV_DECLARE_KERNELS(GemmKernels, gemm_kernels) declares one constant table per instruction
// set and `const GemmKernels& gemm_kernels()`, the one in use.
#if defined(FASTCONV_X86)
#define FASTCONV_DECLARE_KERNELS(Table, name) \
  namespace baseline {                        \
  extern const Table name##_table;            \
  }                                           \
  namespace avx2 {                            \
  extern const Table name##_table;            \
  }                                           \
  namespace avx512 {                          \
  extern const Table name##_table;            \
  }                                           \
  inline const Table& name() {                \
    switch (active_isa()) {                   \
      case Isa::avx512:                       \
        return avx512::name##_table;          \
      case Isa::avx2:                         \
        return avx2::name##_table;            \
      default:                                \
        return baseline::name##_table;        \
    }                                         \
  }
#else
#define FASTCONV_DECLARE_KERNELS(Table, name) \
  namespace baseline {                        \
  extern const Table name##_table;            \
  }                                           \
  inline const Table& name() { return baseline::name##_table; }
#endif

}  // namespace fastconv
