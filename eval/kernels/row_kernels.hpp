#pragma once

#include <cstddef>

#include "quant/math/isa.hpp"

namespace bitplan {

/// Softmax of one row: y = exp(v - max v) / sum exp(v - max v) for v = x (+ mask, when not null). y may be x.
/// A row of -infinities alone is NaN, as by definition.
void softmax_row(Isa isa, const float* x, const float* mask, float* y, std::size_t n);

/// One row of LayerNormalization (centered) or RMSNormalization; scale and bias of n values or null. y may be x.
struct NormRow {
  const float* scale = nullptr;
  const float* bias = nullptr;
  float epsilon = 0;
  bool centered = true;
};
void norm_row(Isa isa, const NormRow& norm, const float* x, float* y, std::size_t n);

/// y = x cos + rotate(x) sin for a row of n values, rotate(x) = [-second half, first half]. y is not x.
void rotary_row(Isa isa, const float* x, const float* cos, const float* sin, float* y, std::size_t n);

}  // namespace bitplan
