#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitplan {

/// AWQ: Lin et al. 2023, arXiv:2306.00978 (NVIDIA ModelOpt awq_lite). Input channels with large activations get finer
/// steps: columns are multiplied by s before quantization and inputs divided by it,
///
///   act_j = mean |x_j|,   wsc_j = mean_i |w_ij| / max |w_i.| of the group of 128 that holds j
///   s = clamp(act^alpha / wsc^(1-alpha), 1e-4, 1e4);   s /= sqrt(max s * min s)
///
/// alpha of 0, .1 … 1 by the layer's output error, the first least. O(11 rows columns^2) from second moments, where the
/// package runs all samples eleven times. On purpose other than it: a channel whose activations or weights are all 0
/// has s = 1 before the normalisation.
struct AwqProblem {
  std::int64_t rows = 0, columns = 0;
  std::span<const float> weights;          ///< [rows, columns]
  std::span<const float> activation_mean;  ///< mean |x_j|
  std::span<const float> gram;             ///< E x x^T [columns, columns]
  int bits = 4;                            ///< symmetric, s_q = absmax / (2^(b-1) - 1), full range
  std::int64_t group = 128;                ///< 0: a row
  int threads = 0;
};

struct AwqResult {
  double alpha = 0;
  std::vector<float> scales;           ///< s by column
  std::vector<double> alphas, losses;  ///< mean squared output error of each alpha, by output channel
  double unscaled_loss = 0;            ///< the same with s = 1, which no alpha need be
  double least_loss() const;           ///< of the alpha that was taken
};

std::vector<float> awq_weight_means(std::span<const float> weights, std::int64_t columns, std::int64_t group);
std::vector<float> awq_scales(std::span<const float> activation_mean, std::span<const float> weight_mean, double alpha);
/// Throws InputError on non-finite weights or moments.
AwqResult awq_search(const AwqProblem& problem);

}  // namespace bitplan
