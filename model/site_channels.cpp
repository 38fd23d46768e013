#include "model/site_channels.hpp"

#include <algorithm>
#include <cassert>
#include <map>
#include <string>

#include "core/error.hpp"

namespace bitplan {
namespace {

int axis_of_layer(const Network& network, const Layer& layer, int rank) {
  const Node& node = network.node(layer.node);
  if (node.op.starts_with("Conv")) return 1;
  const bool right = node.inputs.size() > 1 && node.inputs[1] == layer.input;
  if (node.op == "Gemm") {
    const bool transposed = node.integer(right ? "transB" : "transA", 0) != 0;
    return right == transposed ? 1 : 0;
  }
  return right ? std::max(0, rank - 2) : rank - 1;
}

/// Axis → the first reader that sees the channels there.
std::map<int, std::string> axes_of(const Network& network, const Site& site) {
  const int rank = static_cast<int>(network.tensor(site.tensor).shape.size());
  const auto named = [&](NodeId node) { return "'" + network.node(node).name + "' (" + network.node(node).op + ")"; };
  std::map<int, std::string> axes;
  for (const LayerId id : site.layers) {
    const Layer& layer = network.layer(id);
    axes.emplace(axis_of_layer(network, layer, rank), named(layer.node));
  }
  for (const NodeId node : site.products) axes.emplace(rank - 1, named(node));
  return axes;
}

std::optional<SiteChannels> along(const Shape& shape, int axis) {
  if (axis < 0 || axis >= static_cast<int>(shape.size()) || element_count(shape) == 0) return std::nullopt;
  SiteChannels found{axis, shape[static_cast<std::size_t>(axis)], 1};
  for (std::size_t d = static_cast<std::size_t>(axis) + 1; d < shape.size(); ++d) found.inner *= shape[d];
  return found;
}

}  // namespace

std::optional<SiteChannels> find_site_channels(const Network& network, SiteId id) {
  const Site& site = network.site(id);
  assert(site.kind == Site::Kind::activation);
  const auto axes = axes_of(network, site);
  if (axes.size() != 1) return std::nullopt;
  return along(network.tensor(site.tensor).shape, axes.begin()->first);
}

SiteChannels site_channels(const Network& network, SiteId id) {
  if (const auto found = find_site_channels(network, id)) return *found;
  const Site& site = network.site(id);
  const auto axes = axes_of(network, site);
  std::string readers;
  for (const auto& [axis, reader] : axes)
    readers += (readers.empty() ? "" : ", ") + std::string("axis ") + std::to_string(axis) + " for " + reader;
  throw InputError("activation '" + site.name + "' of shape " + to_string(network.tensor(site.tensor).shape) +
                   " has no one axis of channels: " + readers +
                   "; only granularity tensor without outliers is possible here");
}

}  // namespace bitplan
