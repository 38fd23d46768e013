#include "search/ddpg_state.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace bitplan {

namespace {

/// The last layer before a node, or the first of the network.
LayerId layer_before(const Network& network, NodeId node) {
  LayerId before = 0;
  for (const Layer& layer : network.layers)
    if (layer.node < node) before = layer.id;
  return before;
}

LayerId first_layer(const Network& network, const Variable& variable) {
  auto first = static_cast<LayerId>(network.layers.size());
  for (const SiteId site : variable.sites) {
    for (const LayerId layer : network.site(site).layers) first = std::min(first, layer);
    for (const NodeId node : network.site(site).products) first = std::min(first, layer_before(network, node));
  }
  return first;
}

/// Of operands of products that no layer reads: a matrix without weights.
std::vector<float> product_features(const Network& network, const Variable& variable) {
  const Shape& shape = network.tensor(network.site(variable.sites.front()).tensor).shape;
  const auto width = shape.empty() ? 1.0F : static_cast<float>(shape.back());
  return {0,     width,
          width, 0,
          1,     static_cast<float>(variable.elements),
          1,     static_cast<float>(first_layer(network, variable)),
          1};
}

bool has_layers(const Network& network, const Variable& variable) {
  return std::any_of(variable.sites.begin(), variable.sites.end(),
                     [&](SiteId site) { return !network.site(site).layers.empty(); });
}

std::vector<float> raw_features(const Network& network, const Variable& variable) {
  if (!has_layers(network, variable)) return product_features(network, variable);
  const Layer& layer = network.layer(first_layer(network, variable));
  const auto outputs = static_cast<double>(layer.weight_shape[static_cast<std::size_t>(layer.channel_axis)]);
  const bool spatial = layer.weight_shape.size() > 2;
  double taps = 1;  // weights of one input channel of one filter
  for (std::size_t d = 2; d < layer.weight_shape.size(); ++d) taps *= static_cast<double>(layer.weight_shape[d]);
  const double group_inputs = static_cast<double>(layer.weights) / std::max(1.0, outputs * taps);
  const double inputs = group_inputs * static_cast<double>(layer.groups);
  double pixels = 1;
  const Shape& input = network.tensor(layer.input).shape;
  for (std::size_t d = 2; spatial && d < input.size(); ++d) pixels *= static_cast<double>(input[d]);
  const auto strides = network.node(layer.node).integers("strides", {1});
  const double stride = spatial && !strides.empty() ? static_cast<double>(strides.front()) : 0;
  const std::vector<double> features{layer.groups > 1 && group_inputs == 1 ? 1.0 : 0.0,
                                     inputs,
                                     outputs,
                                     stride,
                                     spatial ? static_cast<double>(layer.weight_shape[2]) : 1.0,
                                     static_cast<double>(variable.elements),
                                     pixels,
                                     static_cast<double>(layer.id),
                                     variable.kind == Site::Kind::activation ? 1.0 : 0.0};
  return {features.begin(), features.end()};
}

}  // namespace

std::vector<DdpgStep> ddpg_steps(const Problem& problem) {
  std::vector<DdpgStep> steps;
  const auto& variables = problem.space.variables();
  for (std::size_t v = 0; v < variables.size(); ++v)
    if (variables[v].options.size() > 1) steps.push_back({v, raw_features(problem.network, variables[v])});
  std::stable_sort(steps.begin(), steps.end(), [](const DdpgStep& a, const DdpgStep& b) {
    return std::tie(a.features[7], a.features[8]) < std::tie(b.features[7], b.features[8]);
  });
  for (int f = 0; f < DdpgStep::kFeatures; ++f) {
    const auto i = static_cast<std::size_t>(f);
    const auto [low, high] = std::minmax_element(steps.begin(), steps.end(), [i](const DdpgStep& a, const DdpgStep& b) {
      return a.features[i] < b.features[i];
    });
    if (steps.empty()) break;
    const float least = low->features[i], range = high->features[i] - least;
    for (DdpgStep& step : steps) step.features[i] = range > 0 ? (step.features[i] - least) / range : 0;
  }
  return steps;
}

}  // namespace bitplan
