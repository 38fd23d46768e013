#pragma once

#include <span>

#include "quant/affine.hpp"
#include "quant/choice.hpp"

namespace bitplan {

/// The quantizer of one part of a weight (values that share a scale), by the choice's range method:
///
///   absmax      [-a, a], a = max |w|                                     minmax   [min w, max w]
///   percentile  symmetric: [-a, a], a the ceil(n p / 100)-th smallest |w|
///               affine: of the n - ceil(n p / 100) values outside half (rounded down) lie below, the rest above
///   mse         of [r l, r h], r = 0.3 … 1 in 100 equal steps, [l, h] the range of absmax (symmetric) or minmax
///   (affine),
///               the one with the least sum of (w' - w)^2; of equal ones the largest r
///
/// All values must be finite; zeros alone give scale 1. O(n), percentile O(n log n) at worst, mse O(100 n).
Affine weight_quantizer(std::span<const float> part, const Choice& choice);

/// Range mse by the plain definition: each ratio from the largest down, errors summed in double in index order.
Affine mse_weight_quantizer_ref(std::span<const float> part, const Choice& choice);
/// The same quantizer, found by a search with vectors of floats whose rounding error is bounded; only ratios within the
/// bound of the best are decided by the definition.
Affine mse_weight_quantizer(std::span<const float> part, const Choice& choice);
Affine mse_weight_quantizer_on(Isa isa, std::span<const float> part, const Choice& choice);

}  // namespace bitplan
