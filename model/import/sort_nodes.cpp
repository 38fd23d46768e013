#include "core/error.hpp"
#include "model/boost_graph.hpp"
#include "model/import/draft.hpp"

namespace bitplan {

void sort_nodes(Draft& draft) {
  std::vector<NodeId> producer(draft.network.tensors.size(), -1);
  std::vector<bool> known(producer.size(), false);
  for (std::size_t t = 0; t < known.size(); ++t) known[t] = draft.network.tensors[t].constant.has_value();
  for (const TensorId input : draft.network.inputs) known[static_cast<std::size_t>(input)] = true;
  for (std::size_t n = 0; n < draft.nodes.size(); ++n)
    for (const TensorId output : draft.nodes[n].node.outputs)
      if (output != kNoTensor) producer[static_cast<std::size_t>(output)] = static_cast<NodeId>(n);

  Reads reads(draft.nodes.size());
  for (std::size_t n = 0; n < draft.nodes.size(); ++n)
    for (const TensorId input : draft.nodes[n].node.inputs) {
      if (input == kNoTensor || known[static_cast<std::size_t>(input)]) continue;
      const NodeId made_by = producer[static_cast<std::size_t>(input)];
      if (made_by < 0)
        throw InputError("node '" + draft.nodes[n].node.name + "' reads tensor '" + draft.tensor(input).name +
                         "', which nothing makes");
      reads[n].push_back(made_by);
    }

  const auto order = topological_order(reads);
  if (order.size() != draft.nodes.size()) {
    std::string names;
    for (const NodeId n : nodes_on_a_cycle(reads)) {
      if (names.size() > 200) {
        names += ", …";
        break;
      }
      names += (names.empty() ? "'" : ", '") + draft.nodes[static_cast<std::size_t>(n)].node.name + "'";
    }
    throw InputError("the graph has a cycle through the nodes " + names);
  }
  std::vector<DraftNode> sorted;
  for (const NodeId n : order) sorted.push_back(std::move(draft.nodes[static_cast<std::size_t>(n)]));
  draft.nodes = std::move(sorted);
}

}  // namespace bitplan
