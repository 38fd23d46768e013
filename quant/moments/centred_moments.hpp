#pragma once

#include <functional>

#include "quant/moments/input_moments.hpp"

namespace bitplan {

/// A copy with `change` made to the moments and to the weighted ones.
LayerMoments changed(const LayerMoments& moments, const std::function<void(LayerMoments&)>& change);

/// Moments about the means, E xq xq^T - E xq E xq^T and alike: what is left of an output error when a bias has taken
/// its mean. Where there are weighted moments the bias goes by their means a, and the plain ones are about these, too:
///
///   E (xq - a)(xq - a)^T = G - E xq a^T - a E xq^T + a a^T
///
/// The means stay. O(k^2).
LayerMoments centred(const LayerMoments& moments);

}  // namespace bitplan
