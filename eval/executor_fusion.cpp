#include "eval/executor_fusion.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace bitplan {

namespace {

class Fusion {
 public:
  explicit Fusion(const Network& network)
      : net_(network), taken_(network.nodes.size()), fixed_(network.tensors.size()) {
    for (const TensorId t : net_.outputs) fixed_[static_cast<std::size_t>(t)] = true;
    for (const Site& site : net_.sites) fixed_[static_cast<std::size_t>(site.tensor)] = true;
  }

  std::vector<Group> groups() {
    // Backwards: of two convolutions that meet in an Add the later one takes it, and adds to the other's result.
    std::vector<Group> result;
    for (auto node = static_cast<NodeId>(net_.nodes.size()) - 1; node >= 0; --node)
      if (!taken_[static_cast<std::size_t>(node)] && starts_group(node)) result.push_back(grow(node));
    for (NodeId node = 0; node < static_cast<NodeId>(net_.nodes.size()); ++node)
      if (!taken_[static_cast<std::size_t>(node)]) result.push_back({{node}, {}, kNoTensor});
    std::ranges::sort(result, {}, [](const Group& g) { return std::ranges::max(g.nodes); });
    return result;
  }

 private:
  bool starts_group(NodeId id) const {
    constexpr std::array<std::string_view, 3> kOps{"Conv", "Gemm", "MatMul"};
    return std::ranges::find(kOps, net_.node(id).op) != kOps.end() && net_.node(id).outputs.size() == 1 &&
           std::ranges::any_of(net_.layers, [&](const Layer& layer) { return layer.node == id; });
  }

  Group grow(NodeId head) {
    Group group{{head}, {}, net_.node(head).outputs[0]};
    take(head);
    bool added = false;
    while (!fixed_[static_cast<std::size_t>(group.output)]) {
      if (take_gate(group)) continue;
      const auto& readers = net_.tensor(group.output).consumers;
      if (readers.size() != 1 || taken_[static_cast<std::size_t>(readers[0])]) break;
      if (!take_eltwise(group, readers[0]) && (added || !(added = take_sum(group, readers[0])))) break;
    }
    return group;
  }

  void take(NodeId node) { taken_[static_cast<std::size_t>(node)] = true; }

  void append(Group& group, NodeId node, PostOp post_op) {
    take(node);
    group.nodes.push_back(node);
    group.output = net_.node(node).outputs[0];
    group.post_ops.push_back(std::move(post_op));
  }

  bool take_eltwise(Group& group, NodeId reader) {
    const auto function = eltwise_of(net_, net_.node(reader));
    if (!function) return false;
    append(group, reader, {*function, kNoTensor});
    return true;
  }

  bool take_sum(Group& group, NodeId reader) {
    const Node& node = net_.node(reader);
    if (node.op != "Add") return false;
    const TensorId other = node.inputs[0] == group.output ? node.inputs[1] : node.inputs[0];
    const TensorInfo& info = net_.tensor(other);
    if (other == group.output || info.constant || info.shape != net_.tensor(group.output).shape) return false;
    append(group, reader, {{}, other});
    return true;
  }

  /// x * gate(x), where x has no other reader.
  bool take_gate(Group& group) {
    const auto& readers = net_.tensor(group.output).consumers;
    if (readers.size() != 2) return false;
    const auto [low, high] = std::minmax(readers[0], readers[1]);  // the gate comes before the product
    const auto function = gated_eltwise_of(net_, low, high);
    if (!function || taken_[static_cast<std::size_t>(low)] || taken_[static_cast<std::size_t>(high)]) return false;
    if (fixed_[static_cast<std::size_t>(net_.node(low).outputs[0])]) return false;
    take(low);
    group.nodes.push_back(low);
    append(group, high, {{*function}, kNoTensor});
    return true;
  }

  const Network& net_;
  std::vector<bool> taken_;  ///< nodes that a group has
  std::vector<bool> fixed_;  ///< tensors that must be seen from outside
};

}  // namespace

std::vector<Group> group_nodes(const Network& network, bool fuse) {
  if (fuse) return Fusion(network).groups();
  std::vector<Group> alone;
  for (NodeId node = 0; node < static_cast<NodeId>(network.nodes.size()); ++node)
    alone.push_back({{node}, {}, kNoTensor});
  return alone;
}

}  // namespace bitplan
