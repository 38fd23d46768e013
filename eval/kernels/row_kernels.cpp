#include "eval/kernels/row_kernels.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#include "quant/math/affine.hpp"

#define BITPLAN_BODY "eval/kernels/row_kernels.inc"
#include "quant/math/each_isa.inc"

namespace bitplan {

namespace {

/// The compilation for an instruction set.
template <class Function>
Function* choose(Isa isa, Function* generic, Function* avx2, Function* avx512) {
  return isa == Isa::avx512 ? avx512 : isa == Isa::avx2 ? avx2 : generic;
}

}  // namespace

void softmax_row(Isa isa, const float* x, const float* mask, float* y, std::size_t n) {
  choose(isa, isa_generic::softmax_row, isa_avx2::softmax_row, isa_avx512::softmax_row)(x, mask, y, n);
}

void norm_row(Isa isa, const NormRow& norm, const float* x, float* y, std::size_t n) {
  choose(isa, isa_generic::norm_row, isa_avx2::norm_row, isa_avx512::norm_row)(norm, x, y, n);
}

void rotary_row(Isa isa, const float* x, const float* cos, const float* sin, float* y, std::size_t n) {
  choose(isa, isa_generic::rotary_row, isa_avx2::rotary_row, isa_avx512::rotary_row)(x, cos, sin, y, n);
}

}  // namespace bitplan
