#pragma once

#include <span>

// A kernel is one inline function of plain C++, compiled once for each instruction set: equal code without fused
// multiply-adds, so equal results to the bit (quant/math/matmul.cpp has fused ones in all of them). BITPLAN_NO_OVERLAP
// before a loop: its input and output are the same array or disjoint, so it may be vectorised.
#if defined(__GNUC__) && !defined(__clang__)
#define BITPLAN_NO_OVERLAP _Pragma("GCC ivdep")
#else
#define BITPLAN_NO_OVERLAP
#endif
#if defined(__x86_64__) && defined(__GNUC__)
#define BITPLAN_KERNEL [[gnu::always_inline]] inline
#define BITPLAN_AVX2 [[gnu::target("avx2")]]
#define BITPLAN_AVX512 [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")]]
#else
#define BITPLAN_KERNEL inline
#define BITPLAN_AVX2
#define BITPLAN_AVX512
#endif

namespace bitplan {

/// Instruction sets that the kernels of quant/ are compiled for.
enum class Isa : unsigned char { generic, avx2, avx512 };

/// The widest that this CPU has; asked once.
Isa best_isa();
/// All that this CPU has, narrowest first, for the tests.
std::span<const Isa> usable_isas();

}  // namespace bitplan
