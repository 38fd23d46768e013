#include "eval/executor/executor_fusion.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>

#include "eval/executor/graph_patterns.hpp"

namespace bitplan {

namespace {

class Fusion {
 public:
  Fusion(const Network& network, const std::vector<bool>& alone)
      : net_(network), taken_(network.nodes.size()), fixed_(network.tensors.size()) {
    for (std::size_t l = 0; l < alone.size(); ++l)
      if (alone[l]) fixed_[static_cast<std::size_t>(network.layers[l].output)] = true;
    for (const TensorId t : net_.outputs) fixed_[static_cast<std::size_t>(t)] = true;
    for (const Site& site : net_.sites) fixed_[static_cast<std::size_t>(site.tensor)] = true;
  }

  std::vector<Group> groups() {
    std::vector<Group> result;
    const auto count = static_cast<NodeId>(net_.nodes.size());
    for (NodeId node = count - 1; node >= 0; --node) take_pattern(node, result);
    for (NodeId node = 0; node < count; ++node)
      if (auto gelu = match_gelu(net_, node)) gelus_.emplace(gelu->input, std::move(gelu->nodes));
    // Backwards: of two convolutions that meet in an Add the later one takes it, and adds to the other's result.
    for (NodeId node = count - 1; node >= 0; --node)
      if (!is_taken(node) && starts_group(node)) result.push_back(grow(node));
    for (const auto& [input, nodes] : gelus_) add_pattern("Gelu pattern", nodes, result);
    for (NodeId node = 0; node < count; ++node)
      if (!is_taken(node)) result.push_back({{node}, {}, kNoTensor});
    std::ranges::sort(result, {}, [](const Group& g) { return std::ranges::max(g.nodes); });
    return result;
  }

 private:
  /// Patterns that take nothing from layers: each is whole or not there.
  void take_pattern(NodeId last, std::vector<Group>& result) {
    if (is_taken(last)) return;
    if (const auto attention = match_attention(net_, last); attention && operands_differ(attention->nodes))
      add_pattern("Attention pattern", attention->nodes, result);
    if (const auto rotary = match_rotary(net_, last)) add_pattern("Rotary pattern", rotary->nodes, result);
    if (const auto norm = match_norm(net_, last)) add_pattern("Norm pattern", norm->nodes, result);
  }

  /// No node is a layer: the products of attention have two computed operands.
  bool operands_differ(const std::vector<NodeId>& nodes) const {
    return std::ranges::none_of(net_.layers, [&](const Layer& l) { return std::ranges::count(nodes, l.node) > 0; });
  }

  void add_pattern(std::string_view name, const std::vector<NodeId>& nodes, std::vector<Group>& result) {
    if (std::ranges::any_of(nodes, [&](NodeId node) { return is_taken(node); })) return;
    if (!is_closed(net_, nodes, fixed_)) return;
    for (const NodeId node : nodes) take(node);
    result.push_back({nodes, {}, net_.node(nodes.back()).outputs[0], kNoTensor, name});
  }

  bool is_taken(NodeId node) const { return taken_[static_cast<std::size_t>(node)]; }
  bool is_fixed(TensorId tensor) const { return fixed_[static_cast<std::size_t>(tensor)]; }

  bool starts_group(NodeId id) const {
    constexpr std::array<std::string_view, 3> kOps{"Conv", "Gemm", "MatMul"};
    return std::ranges::find(kOps, net_.node(id).op) != kOps.end() && net_.node(id).outputs.size() == 1 &&
           std::ranges::any_of(net_.layers, [&](const Layer& layer) { return layer.node == id; });
  }

  Group grow(NodeId head) {
    Group group{{head}, {}, net_.node(head).outputs[0]};
    take(head);
    take_bias(group);
    bool added = false;
    while (!is_fixed(group.output)) {
      if (take_gate(group) || take_gelu(group)) continue;
      const auto& readers = net_.tensor(group.output).consumers;
      if (readers.size() != 1 || is_taken(readers[0])) break;
      if (take_eltwise(group, readers[0]) || take_view(group, readers[0]) || take_cap(group, readers[0])) continue;
      if (added || !(added = take_sum(group, readers[0]))) break;
    }
    while (is_view(group.nodes.back())) {  // nothing came behind it
      group.output = net_.node(group.nodes.back()).inputs[0];
      taken_[static_cast<std::size_t>(group.nodes.back())] = false;
      group.nodes.pop_back();
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

  /// oneDNN 2.6 makes one code for each algorithm among the post-ops of a primitive: a second function of the same
  /// algorithm would be computed with the alpha and beta of the first.
  static bool fits(const Group& group, const std::vector<Eltwise>& functions) {
    const auto agree = [](const Eltwise& a, const Eltwise& b) {
      return a.algorithm != b.algorithm || (a.alpha == b.alpha && a.beta == b.beta);
    };
    return std::ranges::all_of(functions, [&](const Eltwise& f) {
      return std::ranges::all_of(group.post_ops, [&](const PostOp& op) {
        return std::ranges::all_of(op.eltwise, [&](const Eltwise& before) { return agree(before, f); });
      });
    });
  }

  bool take_eltwise(Group& group, NodeId reader) {
    auto function = eltwise_of(net_, net_.node(reader));
    if (!function) function = linear_of(net_, net_.node(reader), group.output);
    if (!function || !fits(group, *function)) return false;
    append(group, reader, {*function, kNoTensor});
    return true;
  }

  bool take_cap(Group& group, NodeId reader) {
    const Node& node = net_.node(reader);
    if (node.op != "Min" || node.inputs.size() != 2 || net_.node(group.nodes[0]).op != "Conv") return false;
    const TensorId row = node.inputs[0] == group.output ? node.inputs[1] : node.inputs[0];
    const TensorInfo& info = net_.tensor(row);
    Shape wanted(net_.tensor(group.output).shape.size(), 1);
    if (wanted.size() > 1) wanted[1] = net_.tensor(group.output).shape[1];
    if (!info.constant || info.dtype != DType::f32 || info.shape != wanted) return false;
    append(group, reader, {{}, kNoTensor, row});
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

  /// The Add of a constant row behind a MatMul.
  void take_bias(Group& group) {
    const auto& readers = net_.tensor(group.output).consumers;
    if (net_.node(group.nodes[0]).op != "MatMul" || is_fixed(group.output) || readers.size() != 1) return;
    const Node& add = net_.node(readers[0]);
    if (add.op != "Add" || is_taken(readers[0])) return;
    const TensorId row = add.inputs[0] == group.output ? add.inputs[1] : add.inputs[0];
    const TensorInfo& info = net_.tensor(row);
    const Shape &made = net_.tensor(group.output).shape, &sum = net_.tensor(add.outputs[0]).shape;
    if (!info.constant || info.shape.empty() || made != sum || info.shape.back() != made.back() ||
        element_count(info.shape) != made.back())
      return;
    take(readers[0]);
    group.nodes.push_back(readers[0]);
    group.output = add.outputs[0];
    group.bias = row;
  }

  bool is_view(NodeId node) const {
    constexpr std::array<std::string_view, 5> kOps{"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"};
    return std::ranges::find(kOps, net_.node(node).op) != kOps.end();
  }

  /// Another shape for the same row-major elements; convolutions make other orders.
  bool take_view(Group& group, NodeId reader) {
    if (net_.node(group.nodes[0]).op == "Conv" || !is_view(reader)) return false;
    take(reader);
    group.nodes.push_back(reader);
    group.output = net_.node(reader).outputs[0];
    return true;
  }

  bool take_gelu(Group& group) {
    const auto found = gelus_.find(group.output);
    if (found == gelus_.end()) return false;
    const std::vector<NodeId>& nodes = found->second;
    const bool whole = std::ranges::none_of(nodes, [&](NodeId node) { return is_taken(node); }) &&
                       is_closed(net_, nodes, fixed_) &&
                       std::ranges::all_of(net_.tensor(group.output).consumers,
                                           [&](NodeId reader) { return std::ranges::count(nodes, reader) > 0; });
    if (!whole) return false;
    const bool tanh = match_gelu(net_, nodes.back())->tanh;
    for (const NodeId node : nodes) {
      take(node);
      group.nodes.push_back(node);
    }
    group.output = net_.node(nodes.back()).outputs[0];
    group.post_ops.push_back({{gelu_eltwise(tanh)}, kNoTensor});
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
  std::map<TensorId, std::vector<NodeId>> gelus_;  ///< by input
  std::vector<bool> taken_;                        ///< nodes that a group has
  std::vector<bool> fixed_;                        ///< tensors that must be seen from outside
};

}  // namespace

std::vector<Group> group_nodes(const Network& network, bool fuse, const std::vector<bool>& alone) {
  if (fuse) return Fusion(network, alone).groups();
  std::vector<Group> groups;
  for (NodeId node = 0; node < static_cast<NodeId>(network.nodes.size()); ++node)
    groups.push_back({{node}, {}, kNoTensor});
  return groups;
}

}  // namespace bitplan
