#pragma once

#include "eval/executor/executor_fusion.hpp"
#include "eval/kernels/builder.hpp"

namespace bitplan {

/// Computes a Conv, Gemm or MatMul layer of the program's integer pattern with what follows it (Group::post_ops): the
/// sum in 32 bits, then in float, in registers, scale, bias, functions and residual sum, and either the values are
/// written or, when only integer layers read them, their codes.
///
/// Against the same candidate fake-quantized in float, the values differ by the float rounding of the two sums (at most
/// 2^-24 of the largest partial sum of magnitudes for each addition); a code differs, by one, where a value lies that
/// close to the middle between two levels.
///
/// When a function or sum cannot be fused: returns false, having defined nothing.
bool compile_integer(ProgramBuilder& builder, const Group& group, const Layer& layer);

}  // namespace bitplan
