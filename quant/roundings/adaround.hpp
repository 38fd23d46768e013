#pragma once

#include "quant/roundings/rounding_problem.hpp"

namespace bitplan {

/// AdaRound: Nagel et al. 2020, arXiv:2004.10568 (AIMET). Each weight is rounded down or up, decided by learning:
///
///   w'(V) = s (clamp(floor(w / s) + z + h(V), q_min, q_max) - z)
///   h(V)  = clamp(1.2 sigmoid(V) - 0.1, 0, 1)                                rectified sigmoid, Louizos et al. 2018
///   minimise  L(w'(V)) / u  +  lambda sum (1 - |2 h(V) - 1|^beta)
///
/// from the V at which w'(V) = w. beta falls from 10 to 2 along half a cosine (the paper: from 20), which lets h move
/// freely first and drives it to 0 or 1 then; during the warm start (25 % of the iterations) lambda is 0. Adam on V
/// with analytic gradients; at the end up where h >= 1/2.
///
/// On purpose other than the paper: L and its gradient come from second moments of all samples (rounding_problem.hpp)
/// instead of minibatches, so there is no sampling noise and a twentieth of the iterations suffices; L is measured in
/// units u of nearest rounding's loss per weight of its row, so that lambda does not depend on the scale of weights and
/// data. A coordinate descent over all codes (descent.hpp) may follow. Rows are independent, 16 to a thread.
struct AdaRoundSettings {
  int iterations = 550;
  double rate = 0.15;
  double lambda = 15;
  double warm_start = 0.25;
  double beta_start = 10, beta_end = 2;
  bool descend = false;  ///< fits the calibration samples closer; worse on new ones when they are few
};

/// problem.gram must be given. iterations * rows * columns^2 multiply-adds, and about 80 of them a weight and iteration
/// for the rest. Throws InputError for non-finite input, Interrupted when *problem.stop becomes true.
RoundedWeight round_adaround(const RoundingProblem& problem, const AdaRoundSettings& settings);
/// With the settings as they are, but 2000 iterations for small layers (rows * columns^2 <= 2^20): these take no time
/// there and end up to a tenth lower. Filters of up to 32 weights, the depthwise ones, have settled after 550.
RoundedWeight round_adaround(const RoundingProblem& problem);

/// The parts of the method, for tests.
float adaround_start(float fraction);                                   ///< V with h(V) = fraction, of w/s - floor(w/s)
float adaround_h(float v);                                              ///< in 0 … 1
double adaround_beta(const AdaRoundSettings& settings, int iteration);  ///< 0 while the regulariser is off
double adaround_regulariser(std::span<const float> v, double beta);     ///< sum (1 - |2 h - 1|^beta)
/// d/dV of adaround_regulariser for one V.
float adaround_regulariser_slope(float v, float beta);
/// The values w'(V) of all weights.
std::vector<float> adaround_values(const RoundingProblem& problem, std::span<const float> v);

}  // namespace bitplan
