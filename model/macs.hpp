#pragma once

#include "model/network.hpp"

namespace bitplan {

/// Multiply-accumulates of one run of a Conv, ConvTranspose, Gemm or MatMul whose first two inputs and output have
/// these shapes; 0 for other operators. The padding counts as if it were computed.
///   Conv           outputs * C/G * kernel         ConvTranspose  inputs * M/G * kernel
///   Gemm, MatMul   outputs * K
double multiply_accumulates(const Node& node, const Shape& a, const Shape& b, const Shape& output);

}  // namespace bitplan
