#pragma once

#include "search/sensitivity.hpp"

namespace bitplan {

/// How the loss changes around one measured plan, the centre x0. Sensitivities alone do not say it below 4 bits: errors
/// of several layers add up to more than their sum. So they are only where the model starts from; what was measured
/// corrects it.
///
/// On the scale y = (loss - loss of all float)^p:
///   y(x) - y(x0) = sum over variables v of d_v(x_v),    d_v(x0_v) = 0
///   prior        d_v(o) ~ N(m, (kSpread |m| + kFloor y0)^2)
///                m = k (s_v(o)^p - s_v(x0_v)^p),  k = y0 / sum over v of s_v(x0_v)^p
///   observations every measured plan x of the space, with noise kMisfit sum |m| over the variables that x changes,
///                so that near plans say much and far ones little
/// s is the sensitivity table. d's posterior is Gaussian (ridge regression); the nearest kObservations plans are used.
///
/// p: 1 when the errors of layers are independent noise (losses add), 1/2 when they point the same way (their roots
/// add). The p of kPowers is taken that best explains the plans measured so far, log L = log(sum s^p) / p + constant,
/// with weights that fall with the distance of their log loss from the centre's; 1/2 when there are fewer than four.
///
/// Cost: O(n^2 variables + n^3), n <= kObservations.
struct LocalModel {
  static constexpr double kPowers[] = {1.0, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3};
  static constexpr double kSpread = 0.5, kFloor = 0.01, kMisfit = 0.25;
  static constexpr std::size_t kObservations = 400;

  double power = 0.5;
  double centre = 0;      ///< y0
  OptionTable mean;       ///< posterior mean of d_v(o)
  OptionTable deviation;  ///< posterior standard deviation of d_v(o)
};

/// `centre` is a trial of the archive inside the space with a finite loss.
LocalModel fit_local_model(const Problem& problem, const OptionTable& sensitivities, const Trial& centre);

/// The power rule above.
double fit_power(const Problem& problem, const OptionTable& sensitivities, const Trial& centre);

}  // namespace bitplan
