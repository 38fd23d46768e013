#pragma once

#include <span>
#include <vector>

#include "quant/roundings/rounding_problem.hpp"

namespace bitplan {

/// SignRound: Cheng et al. 2023, arXiv:2309.05516 (AutoRound). Learned are an offset v before rounding, for each
/// weight, and factors cm, cM in 0 … 1 on the smallest and largest value m <= 0 <= M of each part, by sign-SGD:
///
///   unsigned codes:  s = max((M cM - m cm) / q_max, 1e-5),  z = rint(-m cm / s)
///   signed codes:    s = -M cM / -q_min  where M cM >= -m cm,  else  m cm / q_min;  |s| >= 1e-5,  z = 0
///                    (the larger end lands on the lowest code, which the other sign does not have: full range)
///   q = clamp(rint(w / s + v) + z),  w' = s (q - z);   rint has slope 1 (straight-through)
///   v -= rate sign(dL/dv), …        rate falls from 1 / iterations to 0 along a line
///
/// The iterate with the least L is kept. On purpose other than the package: all samples at once through second moments
/// (no minibatches); the best iterate is kept row by row; rows that nearest rounding on the problem's grid serves
/// better take that; a coordinate descent over the codes (descent.hpp) may follow.
struct SignRoundSettings {
  int iterations = 200;
  bool descend = false;  ///< fits the calibration samples closer; worse on new ones when they are few
};

/// problem.gram must be given; of the grid q_min, q_max (q_min < 0: signed codes) and the groups are used, the scales
/// only for comparison. iterations * rows * columns^2 multiply-adds. Throws InputError for non-finite input.
RoundedWeight round_signround(const RoundingProblem& problem, const SignRoundSettings& settings);
RoundedWeight round_signround(const RoundingProblem& problem);

/// What is learned, by weight and by part.
struct SignRoundParameters {
  std::vector<float> offset, min_factor, max_factor;
  static SignRoundParameters start(const RoundingProblem& problem);  ///< 0, 1, 1
};
/// Codes and grid for given parameters; losses are not filled in.
RoundedWeight signround_at(const RoundingProblem& problem, const SignRoundParameters& at);
/// dL/d(parameters), straight-through: the derivative with w / s + v - rint(w / s + v) and z's rounding held fixed.
SignRoundParameters signround_gradient(const RoundingProblem& problem, const SignRoundParameters& at);

}  // namespace bitplan
