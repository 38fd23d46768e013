#pragma once

#include <span>

#include "quant/choice.hpp"
#include "quant/math/affine.hpp"
#include "quant/ranges/fit_range.hpp"

namespace bitplan {

/// The quantizer of one part of a weight (values that share a scale), by the choice's range method:
///
///   absmax      [-a, a], a = max |w|                                     minmax   [min w, max w]
///   percentile  symmetric: [-a, a], a the ceil(n p / 100)-th smallest |w|
///               affine: of the n - ceil(n p / 100) values outside half (rounded down) lie below, the rest above
///   mse         of [r l, r h], r = 0.3 … 1 in 100 equal steps, [l, h] as minmax, the one with the least
///               sum of (w' - w)^2; of equal ones the largest r
///   grid        of r = k / 20, k = 1 … 20, likewise; of equal ones the smallest: brevitas' MSE grid;
///               affine: the scale, then the zero point (range_search.hpp)
///   lp, wmse    as mse with the sum of |w' - w|^p, or of h (w' - w)^2, h the importance
///   octav       [-s, s], s = octav_clip(…)
///   halfstep    s = max |w| / ((q_max - q_min) / 2): torch.ao, torchao SYMMETRIC; unless narrow the largest
///               value is clipped by half a step
///   noclip      s = max(max w / q_max, min w / q_min): torchao SYMMETRIC_NO_CLIPPING_ERR
///   pow2        s = 2^rint(log2(max |w| / ((2^b - 1) / 2))): Quark PowOf2MinMax; rounded, so it may clip
///   pow2_mse    of that s times 4, 2, 1, 1/2, 1/4 the first with the least squared error: Quark PowOf2MinMSE
///   fit         symmetric: fit_range.hpp; affine, its zero point lies between codes: see part_grid
///   output      as minmax: quant/roundings/output_range.hpp goes on from absmax or minmax
///
/// All values must be finite; zeros alone give scale 1. O(n), percentile O(n log n) at worst, mse O(100 n).
/// importance: of each value, for wmse.
Affine weight_quantizer(std::span<const float> part, const Choice& choice, std::span<const float> importance = {});

/// The same with the zero point as a number: range fit's may lie between codes.
FitGrid part_grid(std::span<const float> part, const Choice& choice, std::span<const float> importance = {});
/// Whether the range of a part depends on its weights alone.
bool finds_parts_alone(RangeMethod range);

/// The ceil(n p / 100)-th smallest |w|.
float percentile_absmax(std::span<const float> part, double percentile);

/// Range mse by the plain definition: each ratio from the largest down, errors summed in double in index order.
Affine mse_weight_quantizer_ref(std::span<const float> part, const Choice& choice);
/// The same quantizer, found by a search with vectors of floats whose rounding error is bounded; only ratios within the
/// bound of the best are decided by the definition.
Affine mse_weight_quantizer(std::span<const float> part, const Choice& choice);
Affine mse_weight_quantizer_on(Isa isa, std::span<const float> part, const Choice& choice);

}  // namespace bitplan
