#pragma once

#include "quant/roundings/rounding_problem.hpp"

namespace bitplan {

/// FlexRound: Lee et al. 2023, arXiv:2306.00317. Weights are divided element by element before rounding, so that a
/// weight may move by more than one step and large weights move more easily:
///
///   w' = s1 (clamp(rint(u) + z, q_min, q_max) - z),   u = w / (s1 S2 s3)
///
/// s1: grid size of a part (learned), S2: one factor a weight, s3: one factor a row (the paper's s4, for input channels
/// of a convolution, is left out: columns are im2col patches here). All positive, kept so by learning their logarithms
/// A, B, C (s1 = s exp A, S2 = exp B, s3 = exp C, from 0). Straight-through, I = 1 where q is not clamped:
///
///   dw'/dA = s1 (q - z) - I s1 u      dw'/dB = dw'/dC = -I s1 u
///
/// Adam on the layer loss from second moments (rounding_problem.hpp), rate falling along half a cosine. The best
/// iterate of each row is kept; a coordinate descent over the codes (descent.hpp) may follow; rows that nearest
/// rounding on the problem's grid serves better take that.
struct FlexRoundSettings {
  int iterations = 400;
  double rate = 0.003;
  bool descend = false;  ///< fits the calibration samples closer; worse on new ones when they are few
};

/// problem.gram must be given. iterations * rows * columns^2 multiply-adds. Throws InputError for non-finite input.
RoundedWeight round_flexround(const RoundingProblem& problem, const FlexRoundSettings& settings);
RoundedWeight round_flexround(const RoundingProblem& problem);

/// What is learned: logarithms by part, by weight, by row.
struct FlexRoundParameters {
  std::vector<float> size, element, row;
  static FlexRoundParameters start(const RoundingProblem& problem);  ///< 0
};
/// Codes and grid (scales s1) for given parameters; losses are not filled in.
RoundedWeight flexround_at(const RoundingProblem& problem, const FlexRoundParameters& at);
/// dL/d(parameters), straight-through: the derivative with rint(u) - u held fixed.
FlexRoundParameters flexround_gradient(const RoundingProblem& problem, const FlexRoundParameters& at);

}  // namespace bitplan
