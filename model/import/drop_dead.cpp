#include "model/import/draft.hpp"

namespace bitplan {
namespace {

/// Marks nodes from which no output can be reached.
void mark_dead(Draft& draft) {
  std::vector<bool> wanted(draft.network.tensors.size(), false);
  for (const TensorId output : draft.network.outputs) wanted[static_cast<std::size_t>(output)] = true;
  for (auto made = draft.nodes.rbegin(); made != draft.nodes.rend(); ++made) {
    bool read = false;
    for (const TensorId output : made->node.outputs)
      read = read || (output != kNoTensor && wanted[static_cast<std::size_t>(output)]);
    if (!read) made->dead = true;
    if (made->dead) continue;
    for (const TensorId input : made->node.inputs)
      if (input != kNoTensor) wanted[static_cast<std::size_t>(input)] = true;
  }
}

}  // namespace

void drop_dead(Draft& draft) {
  mark_dead(draft);
  Network& network = draft.network;
  std::vector<TensorId> renumbered(network.tensors.size(), kNoTensor);
  std::vector<TensorInfo> tensors;
  std::vector<std::vector<std::string>> origins;
  std::vector<bool> folded;
  const auto keep = [&](TensorId& id) {
    if (id == kNoTensor) return;
    const auto old = static_cast<std::size_t>(id);
    if (renumbered[old] == kNoTensor) {
      renumbered[old] = static_cast<TensorId>(tensors.size());
      tensors.push_back(std::move(network.tensors[old]));
      origins.push_back(std::move(draft.origins[old]));
      folded.push_back(draft.batch_norm_folded[old]);
    }
    id = renumbered[old];
  };
  for (auto& id : network.inputs) keep(id);
  for (auto& made : draft.nodes) {
    if (made.dead) continue;
    for (auto& id : made.node.inputs) keep(id);
    for (auto& id : made.node.outputs) keep(id);
    network.nodes.push_back(std::move(made.node));
    draft.written.push_back({{}, std::move(made.inputs), std::move(made.outputs), false});
  }
  for (auto& id : network.outputs) keep(id);
  network.tensors = std::move(tensors);
  draft.origins = std::move(origins);
  draft.batch_norm_folded = std::move(folded);
  draft.nodes.clear();
  draft.ids.clear();
  for (std::size_t n = 0; n < network.nodes.size(); ++n) {
    const auto node = static_cast<NodeId>(n);
    for (const TensorId id : network.nodes[n].inputs)
      if (id != kNoTensor) draft.tensor(id).consumers.push_back(node);
    for (const TensorId id : network.nodes[n].outputs)
      if (id != kNoTensor) draft.tensor(id).producer = node;
  }
}

}  // namespace bitplan
