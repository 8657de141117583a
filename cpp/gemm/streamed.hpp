// A product with few rows and a B that is used once: C = A * B, B larger than L2.
//
// Packing all of B first would write it to memory and read it back. Here every thread packs a block
// of B that stays in its L2, and multiplies it at once: B comes from memory once.
#pragma once

#include "fastconv/gemm.hpp"

namespace fastconv {

// Whether that is the faster way: A is not transposed, rows are few, and B outgrows L2.
bool streaming_pays(const GemmShape& shape);

// As gemm, for an A that is not transposed.
void gemm_streamed(const GemmShape& shape, float alpha, const float* a, const float* b, float beta,
                   float* c, const Epilogue& epilogue);

}  // namespace fastconv
