#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitplan {

/// SmoothQuant: Xiao et al. 2023, arXiv:2211.10438, eq. 4 (NVIDIA ModelOpt). Outliers of input channels move into the
/// weights: w_j <- w_j s_j, x_j <- x_j / s_j, which leaves every output as it was,
///
///   s_j = max|x_j|^alpha / max_i |w_ij|^(1-alpha),   1 / s_j clamped to [1e-4, 1e4]
///
/// activation_max, weight_max: by input channel, the second over the rows of EVERY linear that reads this input. A
/// channel whose inputs or weights are all 0 keeps s = 1 (the formula gives 0 or infinity, clamped). O(channels).
/// Throws InputError when a maximum is negative or not finite.
std::vector<float> smoothquant_scales(std::span<const float> activation_max, std::span<const float> weight_max,
                                      double alpha);

/// max_i |w_ij| by column of weights [rows, columns]; `maxima` keeps the larger ones, so that several linears add up.
void add_column_maxima(std::span<const float> weights, std::span<float> maxima);
/// weights [rows, columns] with column j multiplied by scales[j].
std::vector<float> scaled_columns(std::span<const float> weights, std::span<const float> scales);

}  // namespace bitplan
