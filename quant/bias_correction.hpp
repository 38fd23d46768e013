#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "quant/roundings/rounding_problem.hpp"

namespace bitplan {

/// What must be added to a layer's bias so that each output channel keeps its mean: b_r = E (w_r . x - w'_r . xq).
/// Of all constants it is the one that minimises E (w_r . x - w'_r . xq - b)^2 (the least-squares mean), so empirical
/// bias correction (Banner et al. 2019; brevitas, AIMET) and "bias compensation" per channel are one formula:
///
///   b_r = w_r . mean(x) - w'_r . mean(xq)
///
/// weights, quantized [rows, columns]; means by column (equal where inputs are not quantized). The mean is over
/// samples, not over means of batches, which differ where batches do. O(rows * columns). Throws InputError when a
/// result is not finite.
std::vector<float> bias_correction(std::span<const float> weights, std::span<const float> quantized,
                                   std::span<const float> mean, std::span<const float> quantized_mean);

/// Output error that the correction takes away: sum of b_r^2. With one it never grows.
double corrected_error(std::span<const float> correction);

/// Analytic bias correction, without data: Nagel et al. 2019, arXiv:1906.04721 (DFQ), section 4.2. The input is
/// clamp(n, 0, cap) of a normal n with a batch normalisation's mean (beta) and deviation (|gamma|). With a = -mean /
/// dev, c = (cap - mean) / dev, phi and Phi the normal density and distribution:
///
///   E x = dev (phi(a) - phi(c)) + mean (Phi(c) - Phi(a)) + cap (1 - Phi(c))
///
/// cap infinite: Relu; 6: Relu6. deviation 0 gives clamp(mean, 0, cap).
double expected_relu(double mean, double deviation, double cap = std::numeric_limits<double>::infinity());

/// Variance of the same, for sums of such activations: E y^2 - (E y)^2 with
///
///   E y^2 = (mean^2 + dev^2) (Phi(c) - Phi(a)) + 2 mean dev (phi(a) - phi(c)) + dev^2 (a phi(a) - c phi(c))
///           + cap^2 (1 - Phi(c))
double variance_relu(double mean, double deviation, double cap = std::numeric_limits<double>::infinity());

/// Gain correction by weights, of one part: <w, w> / <w', w> times the scale. Clipping shrinks the gain <w', w> / <w,
/// w> of a channel; this gives it back. 1 where the product is not positive.
double weight_gain(std::span<const float> weights, std::span<const float> quantized);

/// Gain of least output error by row: g_r = (w' C w^T) / (w' G w'^T), from the problem's moments (C = G without cross
/// moments), in closed form; 1 where the output is 0. Scaling w' by it never raises the layer loss. O(rows *
/// columns^2).
std::vector<double> output_gains(const RoundingProblem& problem, std::span<const float> values);

}  // namespace bitplan
