#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "eval/rewrites/rewrite_fold.hpp"
#include "eval/rewrites/rewrite_job.hpp"
#include "quant/moments/gram.hpp"

namespace bitplan {

/// Statistics of an activation by channel, its last axis, over all calibration samples.
struct ChannelStatistics {
  std::vector<float> largest;         ///< max |x_j|
  std::vector<float> mean_magnitude;  ///< mean |x_j|
  std::vector<float> gram;            ///< E x x^T; empty unless asked for
};

/// What SmoothQuant and AWQ have in common: every activation that only linear layers read and that can be folded gets
/// factors from its statistics and from the weights of all layers that read it, one below the other as rows
/// [outputs, inputs]. Sites are taken in the order of the network; a fold changes rows of the layer before it, so
/// later sites see that. Activations that cannot be folded are listed in the notes, by reason.
///
/// Memory: with moments the sites are cut into passes over the data such that the second moments of one (8 bytes times
/// the square of the channels, times threads + 1) stay within 1 GiB, one site at least.
struct SiteProblem {
  const ChannelStatistics& statistics;
  std::span<const float> rows;
  std::int64_t outputs = 0, channels = 0;
};
using SiteFactors = std::function<std::vector<float>(const SiteProblem&)>;
void fold_linear_sites(RewriteJob& job, bool with_gram, const SiteFactors& factors);

}  // namespace bitplan
