#pragma once

#include <functional>

#include "quant/roundings/rounding_problem.hpp"

namespace bitplan {

/// Scales, and zero points where they may lie between codes, of least output error for the codes as they are. With u_p
/// the row of q - z in the columns of part p (0 elsewhere) and v_p the row of ones there, a row's values are
///
///   w' = sum_p s_p u_p - t_p v_p,        B = (u_1, v_1, u_2, …),   t = 0 as it stands
///
/// and L (rounding_problem.hpp) is a quadratic in s and t; the step from where they are to its minimum solves
///
///   (B G B^T) step = -B (e G + d)^T,     z <- z + t / s
///
/// by LDL^T in double, 1e-6 of the diagonal added (codes that are all equal determine no scale). At most 256 unknowns
/// are solved together, block after block of a row, each with the blocks before it as they have become. It is the gain
/// correction of a channel by its output (bias_correction.hpp), for all parts of a row at once. Rows whose L would not
/// fall, or with a scale that would not be a positive normal number, stay.
///
/// n rows, k columns, P unknowns a row: 2 n k^2 multiply-adds, n P min(P, 256)^2 / 3 in double; twice when zero points
/// move too. Ends by problem.stop.
/// problem.gram must be given; parts are runs of neighbours.
RoundedWeight refit_scales(const RoundingProblem& problem, const RoundedWeight& weight);  ///< t = 0
/// Zero points go to storable(z); then scales alone for those zero points.
RoundedWeight refit_zero_points(const RoundingProblem& problem, const RoundedWeight& weight,
                                const std::function<float(double)>& storable);

}  // namespace bitplan
