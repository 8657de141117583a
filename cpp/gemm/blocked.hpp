// A product without many rows: blocks of B stay in L2, and one tile's rows of A in L1.
//
// Where few rows use a packed B, packing it takes a good part of the time, and so does waiting
// until all threads have. Here every thread computes a part of C and packs the columns of B that it
// needs itself: to fetch what another core has packed would take as long. Panels are packed one by
// one, each by the first tile that uses it, while it computes. A is read in place; where it is
// transposed, or its rows would overfill one set of L1, it is written out a few rows at a time.
#pragma once

#include "fastconv/gemm.hpp"

namespace fastconv {

// Whether that is the faster way: A is not long.
bool blocking_pays(const GemmShape& shape);

// As gemm, for m and n above 0.
void gemm_blocked(const GemmShape& shape, float alpha, const float* a, const float* b, float beta,
                  float* c, const Epilogue& epilogue);

}  // namespace fastconv
