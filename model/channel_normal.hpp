#pragma once

#include <optional>
#include <span>

#include "model/network.hpp"

namespace bitplan {

/// Mean and deviation by channel of y = gain (x - mean) / sqrt(variance + epsilon) + beta where x has the running mean
/// and variance of training:
///
///   E y = beta,   dev y = |gain| sqrt(variance / (variance + epsilon))
///
/// Nagel et al. 2019 (arXiv:1906.04721, section 4.2) take |gain|; the root matters for channels that training made
/// (nearly) constant, whose variance is not above epsilon. Nothing when a value is not finite. O(channels).
std::optional<ChannelNormal> batch_norm_output(std::span<const float> gain, std::span<const float> beta,
                                               std::span<const float> variance, float epsilon);

}  // namespace bitplan
