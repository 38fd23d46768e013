#include "model/liveness.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

namespace bitplan {
namespace {

bool is_view(const Node& node) {
  constexpr std::array<std::string_view, 5> kViews{"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"};
  return std::find(kViews.begin(), kViews.end(), node.op) != kViews.end();
}

/// Operators that write each element over the one they read.
bool is_pointwise(const Node& node) {
  constexpr std::array<std::string_view, 11> kPointwise{"Relu",        "LeakyRelu", "PRelu", "Clip", "Sigmoid",           "HardSigmoid",
                                                        "HardSwish",   "Tanh",      "Gelu",  "Erf",  "BatchNormalization"};
  return std::find(kPointwise.begin(), kPointwise.end(), node.op) != kPointwise.end();
}

/// The input that this node may overwrite with its output: what nobody else reads. A sum is taken in place of the layer
/// output that it adds to.
TensorId overwritten(const Network& network, const Node& node) {
  const auto free = [&](TensorId id) {
    const auto& info = network.tensor(id);
    const bool output = std::find(network.outputs.begin(), network.outputs.end(), id) != network.outputs.end();
    return !info.constant && info.consumers.size() == 1 && !output &&
           info.shape == network.tensor(node.outputs[0]).shape;
  };
  if (is_pointwise(node)) return free(node.inputs[0]) ? node.inputs[0] : kNoTensor;
  if (node.op != "Add") return kNoTensor;
  for (const TensorId id : node.inputs) {
    const NodeId producer = network.tensor(id).producer;
    const bool layer = std::any_of(network.layers.begin(), network.layers.end(), [&](const Layer& l) { return l.node == producer; });
    if (producer >= 0 && layer && free(id)) return id;
  }
  return kNoTensor;
}

/// For each tensor the one whose memory it uses: itself, what it is a view of, or what overwrites it.
std::vector<TensorId> storage_of(const Network& network) {
  std::vector<TensorId> storage(network.tensors.size());
  for (std::size_t t = 0; t < storage.size(); ++t) storage[t] = static_cast<TensorId>(t);
  for (const Node& node : network.nodes)
    if (is_view(node) && !network.tensor(node.inputs[0]).constant)
      storage[static_cast<std::size_t>(node.outputs[0])] = storage[static_cast<std::size_t>(node.inputs[0])];
  // Backwards, so that a chain (normalization, sum, Relu) ends in its last tensor: the one that is kept, at its bits.
  for (auto node = network.nodes.rbegin(); node != network.nodes.rend(); ++node) {
    const TensorId id = overwritten(network, *node);
    if (id == kNoTensor || storage[static_cast<std::size_t>(id)] != id) continue;
    storage[static_cast<std::size_t>(id)] = storage[static_cast<std::size_t>(node->outputs[0])];
  }
  return storage;
}

bool contains(const std::vector<TensorId>& all, const std::vector<TensorId>& some) {
  return std::includes(all.begin(), all.end(), some.begin(), some.end());
}

}  // namespace

std::vector<MemoryCut> memory_cuts(const Network& network) {
  const auto storage = storage_of(network);
  const auto at = [&](TensorId id) { return static_cast<std::size_t>(storage[static_cast<std::size_t>(id)]); };
  // The last node that reads each memory; outputs live to the end.
  std::vector<NodeId> last(network.tensors.size(), -1);
  for (std::size_t n = 0; n < network.nodes.size(); ++n) {
    for (const TensorId id : network.nodes[n].inputs)
      if (id != kNoTensor) last[at(id)] = static_cast<NodeId>(n);
    for (const TensorId id : network.nodes[n].outputs)
      if (id != kNoTensor) last[at(id)] = std::max(last[at(id)], static_cast<NodeId>(n));
  }
  for (const TensorId id : network.outputs) last[at(id)] = static_cast<NodeId>(network.nodes.size());

  std::set<TensorId> live;
  for (const TensorId id : network.inputs)
    if (last[at(id)] >= 0) live.insert(storage[static_cast<std::size_t>(id)]);
  std::vector<MemoryCut> cuts;
  for (std::size_t n = 0; n < network.nodes.size(); ++n) {
    for (const TensorId id : network.nodes[n].outputs)
      if (id != kNoTensor) live.insert(storage[static_cast<std::size_t>(id)]);
    MemoryCut cut{static_cast<NodeId>(n), {live.begin(), live.end()}};
    // A tensor lives in one run of nodes, so a cut that lies inside another lies inside a neighbour.
    while (!cuts.empty() && contains(cut.tensors, cuts.back().tensors)) cuts.pop_back();
    if (cuts.empty() || !contains(cuts.back().tensors, cut.tensors)) cuts.push_back(std::move(cut));
    std::erase_if(live, [&](TensorId id) { return last[static_cast<std::size_t>(id)] <= static_cast<NodeId>(n); });
  }
  return cuts;
}

}  // namespace bitplan
