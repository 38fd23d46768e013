#pragma once

#include "quant/roundings/rounding_problem.hpp"

namespace bitplan {

/// Ranges by the layer's output error: each part's range is multiplied by one of the ratios r = 0.3 … 1 (21 equal
/// steps) so that nearest rounding on the narrower grid has the least L (rounding_problem.hpp), given the parts of the
/// row before it as they were chosen and those after it as they are. Integers; zero points stay what they are relative
/// to the scale: s <- r s, and z is rounded again for the low end, which is multiplied too.
///
///   L(e + u) - L(e) = 2 h . u + u G u^T,   h = e G + d the half gradient, u the change of the part's values
///
/// Coordinate descent over the parts of each row, once: no row ends with a larger L than it begins with. A part costs
/// 21 g^2 multiply-adds and, when it changes, g k; n k (21 g + k) in all, g the elements of a part. Returns the grid
/// and nearest rounding on it. problem.gram must be given; parts of the grid are runs of neighbours.
RoundedWeight range_by_output(const RoundingProblem& problem);

}  // namespace bitplan
