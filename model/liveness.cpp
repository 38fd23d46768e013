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

/// For each tensor the one whose memory it uses: itself, or what it is a view of.
std::vector<TensorId> storage_of(const Network& network) {
  std::vector<TensorId> storage(network.tensors.size());
  for (std::size_t t = 0; t < storage.size(); ++t) storage[t] = static_cast<TensorId>(t);
  for (const Node& node : network.nodes)
    if (is_view(node) && !network.tensor(node.inputs[0]).constant)
      storage[static_cast<std::size_t>(node.outputs[0])] = storage[static_cast<std::size_t>(node.inputs[0])];
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
