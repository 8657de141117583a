// Instruction sets and threads: what the library runs on, and how to change it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace fastconv {

// Names of the instruction sets that this build holds and this CPU can run, best first:
// "avx512", "avx2", "baseline".
std::vector<std::string> available_isas();

// The instruction set in use. Chosen at first use: the best available, or the one that the
// environment variable FASTCONV_ISA names. Throws Error if that name is unknown or unsupported.
std::string get_isa();

// Forces an instruction set for all later calls. Packed objects keep the one they were packed for.
void set_isa(const std::string& name);

// Threads that a call may use. Until set_num_threads is called this is OpenMP's own count
// (OMP_NUM_THREADS, omp_set_num_threads), lowered to the container's CPU quota.
int get_num_threads();
void set_num_threads(int threads);

// Bytes of one core's level-2 cache; a typical value where the system does not tell.
std::size_t l2_cache_bytes();

// Lines that one set of a core's level-1 cache holds; 8 where the system does not tell.
int l1_cache_ways();

// Bytes of a network's weights, as they are given, that the caches can be expected to hold from one
// run to the next, beside pictures and in whatever form they are packed.
std::size_t kept_weight_bytes();

// GFLOP/s of multiply-adds in registers, measured on all threads at once for about `seconds`: the
// roof that other figures are shares of.
double measure_peak_gflops(double seconds = 0.1);

// Compiler and OpenMP version of this build, in words.
std::string compiler();
bool has_openmp();

}  // namespace fastconv
