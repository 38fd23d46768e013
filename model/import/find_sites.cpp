#include <algorithm>
#include <map>
#include <set>

#include "model/import/draft.hpp"

namespace bitplan {
namespace {

std::string unique_name(std::string name, std::set<std::string>& taken) {
  const std::string base = name;
  for (int i = 2; !taken.insert(name).second; ++i) name = base + "#" + std::to_string(i);
  return name;
}

std::string weight_site_name(const Layer& layer, std::set<std::string>& taken) {
  const std::string by_module = layer.names.module + ".weight";
  if (!layer.names.module.empty() && taken.insert(by_module).second) return by_module;
  return unique_name(layer.names.node + ".weight", taken);
}

/// Sites under construction, found again by their tensor.
class Sites {
 public:
  explicit Sites(Network& network) : network_(network) {}

  SiteId weight(const Layer& layer) {
    return find_or_add(Site::Kind::weight, layer.weight, layer.weights,
                       [&] { return weight_site_name(layer, taken_); });
  }
  SiteId activation(TensorId tensor) {
    const TensorInfo& info = network_.tensor(tensor);
    return find_or_add(Site::Kind::activation, tensor, element_count(info.shape) / network_.batch,
                       [&] { return unique_name(info.name, taken_); });
  }
  /// The layer's weight is the site's tensor or a copy of it.
  SiteId join(SiteId site, LayerId layer) {
    network_.sites[static_cast<std::size_t>(site)].layers.push_back(layer);
    return site;
  }
  void join_product(SiteId site, NodeId node) {
    auto& products = network_.sites[static_cast<std::size_t>(site)].products;
    if (products.empty() || products.back() != node) products.push_back(node);  // x x': both operands are one tensor
  }

 private:
  template <class Name>
  SiteId find_or_add(Site::Kind kind, TensorId tensor, std::int64_t elements, const Name& name) {
    const auto known = site_of_.find(tensor);
    if (known != site_of_.end()) return known->second;
    const auto id = static_cast<SiteId>(network_.sites.size());
    network_.sites.push_back({kind, id, tensor, {}, elements, name()});
    site_of_.emplace(tensor, id);
    return id;
  }

  Network& network_;
  std::set<std::string> taken_;
  std::map<TensorId, SiteId> site_of_;
};

bool is_computed(const Network& network, TensorId tensor) {
  const TensorInfo& info = network.tensor(tensor);
  return !info.constant && info.dtype == DType::f32;
}

/// The inputs of layers and, when asked for, the operands of products, in the order of the nodes.
void add_activations(Network& network, bool attention, Sites& sites) {
  network.input_site.assign(network.layers.size(), -1);
  std::map<NodeId, LayerId> layer_of;
  for (const Layer& layer : network.layers) layer_of.emplace(layer.node, layer.id);
  for (std::size_t n = 0; n < network.nodes.size(); ++n) {
    const auto id = static_cast<NodeId>(n);
    const Node& node = network.nodes[n];
    if (const auto layer = layer_of.find(id); layer != layer_of.end()) {
      if (node.op == "Gather") continue;  // an embedding reads indices
      const SiteId site = sites.activation(network.layer(layer->second).input);
      network.input_site[static_cast<std::size_t>(layer->second)] = sites.join(site, layer->second);
    } else if (attention && node.op == "MatMul" && is_computed(network, node.inputs[0]) &&
               is_computed(network, node.inputs[1])) {
      for (const TensorId operand : node.inputs) sites.join_product(sites.activation(operand), id);
    }
  }
}

}  // namespace

void find_sites(Network& network, bool attention) {
  Sites sites(network);
  const auto tied = tied_embeddings(network);
  for (Layer& layer : network.layers) {
    const auto copy = tied.find(layer.id);
    if (copy != tied.end()) layer.weight_transposed = copy->second.transposed;
    const Layer& owner = copy == tied.end() ? layer : network.layer(copy->second.embedding);
    network.weight_site.push_back(sites.join(sites.weight(owner), layer.id));
  }
  add_activations(network, attention, sites);
  note_shared_weights(network);
}

}  // namespace bitplan
