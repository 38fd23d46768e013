#include <algorithm>
#include <map>
#include <numeric>

#include "model/import/draft.hpp"

namespace bitplan {
namespace {

bool is_linear(const Layer& layer) { return layer.op == "MatMul" || layer.op == "Gemm"; }

/// The tensors that are computed from a layer's output without passing another layer, by TensorId.
std::vector<bool> cone_of(const Network& network, const Layer& layer, const std::vector<bool>& is_layer_node) {
  std::vector<bool> inside(network.tensors.size(), false);
  inside[static_cast<std::size_t>(layer.output)] = true;
  for (auto n = static_cast<std::size_t>(layer.node) + 1; n < network.nodes.size(); ++n) {
    if (is_layer_node[n]) continue;
    const Node& node = network.nodes[n];
    const bool reads = std::any_of(node.inputs.begin(), node.inputs.end(), [&](TensorId id) {
      return id != kNoTensor && inside[static_cast<std::size_t>(id)];
    });
    for (const TensorId id : node.outputs)
      if (reads && id != kNoTensor) inside[static_cast<std::size_t>(id)] = true;
  }
  return inside;
}

/// Whether a product (q k', (q k') v, gate * up, an Attention of q, k, v) takes one operand from each of two cones.
bool are_multiplied(const Network& network, const std::vector<bool>& a, const std::vector<bool>& b) {
  return std::any_of(network.nodes.begin(), network.nodes.end(), [&](const Node& node) {
    if (node.op != "Mul" && node.op != "MatMul" && node.op != "Attention") return false;
    const std::size_t operands = node.op == "Attention" ? 3 : 2;
    for (std::size_t i = 0; i < operands; ++i)
      for (std::size_t j = i + 1; j < operands; ++j) {
        const auto x = static_cast<std::size_t>(node.inputs[i]), y = static_cast<std::size_t>(node.inputs[j]);
        if ((a[x] && !b[x] && b[y]) || (b[x] && !a[x] && a[y])) return true;
      }
    return false;
  });
}

}  // namespace

/// Linear layers that read one tensor and whose results are multiplied with each other before any other layer: the
/// query, key and value projections of attention, gate and up of a gated MLP. Runtimes fuse them into one matrix.
void find_ties(Network& network) {
  std::map<TensorId, std::vector<LayerId>> readers;
  std::vector<bool> is_layer_node(network.nodes.size(), false);
  for (const Layer& layer : network.layers) {
    is_layer_node[static_cast<std::size_t>(layer.node)] = true;
    if (is_linear(layer)) readers[layer.input].push_back(layer.id);
  }
  for (const auto& [tensor, layers] : readers) {
    if (layers.size() < 2) continue;
    std::vector<std::vector<bool>> cones;
    for (const LayerId id : layers) cones.push_back(cone_of(network, network.layer(id), is_layer_node));
    std::vector<std::size_t> group(layers.size());  // number of the first member
    std::iota(group.begin(), group.end(), std::size_t{0});
    for (std::size_t i = 0; i < layers.size(); ++i)
      for (std::size_t j = i + 1; j < layers.size(); ++j)
        if (group[i] != group[j] && are_multiplied(network, cones[i], cones[j]))
          std::replace(group.begin(), group.end(), std::max(group[i], group[j]), std::min(group[i], group[j]));
    for (std::size_t first = 0; first < layers.size(); ++first) {
      std::vector<SiteId> tie;
      for (std::size_t i = first; i < layers.size(); ++i)
        if (group[i] == first) tie.push_back(network.weight_site[static_cast<std::size_t>(layers[i])]);
      std::sort(tie.begin(), tie.end());
      tie.erase(std::unique(tie.begin(), tie.end()), tie.end());
      if (tie.size() > 1) network.ties.push_back(std::move(tie));
    }
  }
  std::sort(network.ties.begin(), network.ties.end());
}

}  // namespace bitplan
