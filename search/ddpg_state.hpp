#pragma once

#include <vector>

#include "search/searcher.hpp"

namespace bitplan {

/// One decision of an episode: a variable with more than one option, and what the agent knows of it.
struct DdpgStep {
  static constexpr int kFeatures = 9;  ///< without the action before
  std::size_t variable = 0;
  std::vector<float> features;
};

/// The steps of an episode in the order of the layers, a layer's weight before the activation that it reads (a variable
/// of several sites stands where its first layer does; an operand of a product behind the layer before the product).
/// Features, each scaled to 0 … 1 by its least and greatest value over the steps (0 when all are equal):
///   depthwise?, input channels, output channels, stride, kernel (first spatial side), elements of the tensor,
///   pixels of the layer's input, layer index, weight 0 / activation 1
std::vector<DdpgStep> ddpg_steps(const Problem& problem);

}  // namespace bitplan
