#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "eval/layer_moments.hpp"

namespace bitplan {

/// Memory of the moments that are gathered in one pass over the data.
inline constexpr std::size_t kPassBytes = std::size_t{128} << 20;

/// Whether the layer's inputs are rows that its weight is multiplied with (eval/patches.hpp).
bool has_moments(const Network& network, const Layer& layer);
/// The layer whose inputs say how a weight is used: the site's first one that has moments.
std::optional<LayerId> layer_with_moments(const Network& network, SiteId site);
/// Linear layers that read the same tensor have the same moments: the first of them stands for all.
LayerId first_with_inputs(const Network& network, LayerId layer);

/// Moments of max(8 k, 32768) positions of the layer's k-element rows.
MomentsRequest moments_request(const Network& network, LayerId layer);
/// What they take while they are gathered on so many threads.
std::size_t pass_bytes(const Network& network, const Layer& layer, std::size_t threads);
/// All layers with moments, one for each of first_with_inputs, in order and cut into passes of kPassBytes.
std::vector<std::vector<MomentsRequest>> passes_over(const Network& network, std::size_t threads);

}  // namespace bitplan
