#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "eval/moments/layer_moments.hpp"

namespace bitplan {

/// Whether the layer's inputs are rows that its weight is multiplied with (eval/moments/patches.hpp).
bool has_moments(const Network& network, const Layer& layer);
/// The layer whose inputs say how a weight is used: the site's first one that has moments.
std::optional<LayerId> layer_with_moments(const Network& network, SiteId site);
/// Linear layers that read the same tensor have the same moments: the first of them stands for all.
LayerId first_with_inputs(const Network& network, LayerId layer);

/// Moments of max(8 k, 32768) positions of the layer's k-element rows.
MomentsRequest moments_request(const Network& network, LayerId layer);
/// All layers with moments, one for each of first_with_inputs, in order and cut into passes over the data
/// that take at most 128 MiB each (one layer: what it takes).
std::vector<std::vector<MomentsRequest>> passes_over(const Network& network, std::size_t threads);

}  // namespace bitplan
