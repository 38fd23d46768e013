#include "eval/executor/graph_walk.hpp"

#include <algorithm>
#include <cmath>

#include "eval/executor/graph_patterns.hpp"

namespace bitplan {

namespace {

std::optional<std::vector<std::int64_t>> constant_integers(const Network& net, const Node& node, std::size_t i) {
  if (i >= node.inputs.size() || node.inputs[i] == kNoTensor) return std::nullopt;
  const auto& constant = net.tensor(node.inputs[i]).constant;
  if (!constant || constant->dtype() == DType::f32) return std::nullopt;
  return constant->integers();
}

}  // namespace

const Node* GraphWalk::look(TensorId tensor, std::string_view op) const {
  if (tensor == kNoTensor) return nullptr;
  const NodeId producer = net_->tensor(tensor).producer;
  if (producer < 0) return nullptr;
  const Node& node = net_->node(producer);
  return node.op == op && node.domain.empty() && node.outputs.size() == 1 ? &node : nullptr;
}

const Node* GraphWalk::take(TensorId tensor, std::string_view op) {
  const Node* node = look(tensor, op);
  if (node) taken_.insert(net_->tensor(tensor).producer);
  return node;
}

std::optional<TensorId> GraphWalk::with_scalar(TensorId tensor, std::string_view op, double wanted) {
  const Node* node = look(tensor, op);
  if (!node) return std::nullopt;
  const bool commutes = op == "Add" || op == "Mul";
  for (const std::size_t i : {1U, 0U}) {
    if (i == 0 && !commutes) break;
    const auto constant = scalar_constant(*net_, node->inputs[i]);
    const TensorId other = node->inputs[1 - i];
    if (!constant || std::abs(static_cast<double>(*constant) - wanted) > 1e-6 * std::abs(wanted)) continue;
    if (net_->tensor(other).shape != net_->tensor(tensor).shape || net_->tensor(other).dtype != DType::f32) continue;
    take(tensor, op);
    return other;
  }
  return std::nullopt;
}

std::optional<std::pair<TensorId, float>> GraphWalk::scaled(TensorId tensor) const {
  for (const std::string_view op : {"Mul", "Div"}) {
    const Node* node = look(tensor, op);
    if (!node) continue;
    for (const std::size_t i : {1U, 0U}) {
      if (i == 0 && op == "Div") break;
      const auto constant = scalar_constant(*net_, node->inputs[i]);
      if (constant && net_->tensor(node->inputs[1 - i]).shape == net_->tensor(tensor).shape)
        return std::pair(node->inputs[1 - i], op == "Mul" ? *constant : 1 / *constant);
    }
  }
  return std::nullopt;
}

std::optional<TensorId> GraphWalk::part_of_last_axis(TensorId tensor, std::int64_t begin, std::int64_t end) {
  const NodeId producer = tensor == kNoTensor ? -1 : net_->tensor(tensor).producer;
  if (producer < 0) return std::nullopt;
  const Node& node = net_->node(producer);
  const Shape& shape = net_->tensor(node.inputs[0]).shape;
  const auto last = static_cast<std::int64_t>(shape.size()) - 1;
  if (node.op == "Split" && node.domain.empty()) {
    const std::int64_t axis = node.integer("axis", 0);
    if (axis != last && axis != -1) return std::nullopt;
    std::int64_t at = 0;
    for (const TensorId part : node.outputs) {
      if (part == kNoTensor) return std::nullopt;
      const std::int64_t size = net_->tensor(part).shape.back();
      if (part == tensor && (at != begin || at + size != end)) return std::nullopt;
      at += size;
    }
    taken_.insert(producer);
    return node.inputs[0];
  }
  if (!take(tensor, "Slice")) return std::nullopt;
  const auto starts = constant_integers(*net_, node, 1), ends = constant_integers(*net_, node, 2),
             axes = constant_integers(*net_, node, 3), steps = constant_integers(*net_, node, 4);
  if (!starts || !ends || !axes || starts->size() != 1 || axes->size() != 1) return std::nullopt;
  if (((*axes)[0] != last && (*axes)[0] != -1) || (steps && (*steps)[0] != 1)) return std::nullopt;
  const std::int64_t size = shape.back();
  const auto index = [&](std::int64_t i) { return std::clamp<std::int64_t>(i < 0 ? i + size : i, 0, size); };
  if (index((*starts)[0]) != begin || index((*ends)[0]) != end) return std::nullopt;
  return node.inputs[0];
}

std::optional<TensorId> GraphWalk::rotated(TensorId tensor) {
  const Node* concat = take(tensor, "Concat");
  if (!concat || concat->inputs.size() != 2) return std::nullopt;
  const Shape& shape = net_->tensor(tensor).shape;
  const std::int64_t axis = concat->integer("axis", 0);
  if (shape.empty() || shape.back() % 2 != 0 || (axis != -1 && axis != static_cast<std::int64_t>(shape.size()) - 1))
    return std::nullopt;
  const std::int64_t half = shape.back() / 2;
  const Node* minus = take(concat->inputs[0], "Neg");
  const auto second = minus ? part_of_last_axis(minus->inputs[0], half, 2 * half) : std::nullopt;
  const auto first = second ? part_of_last_axis(concat->inputs[1], 0, half) : std::nullopt;
  if (!first || *first != *second || net_->tensor(*first).shape != shape) return std::nullopt;
  return first;
}

bool GraphWalk::reduces_last_axis(const Node& reduction) const {
  const Shape& shape = net_->tensor(reduction.inputs[0]).shape;
  if (shape.empty() || reduction.integer("keepdims", 1) == 0) return false;
  const std::vector<std::int64_t> axes =
      reduction.has("axes") ? reduction.integers("axes", {})
                            : constant_integers(*net_, reduction, 1).value_or(std::vector<std::int64_t>());
  return axes.size() == 1 && (axes[0] == -1 || axes[0] == static_cast<std::int64_t>(shape.size()) - 1);
}

bool GraphWalk::is_last_axis(const Node& node) const {
  const auto rank = static_cast<std::int64_t>(net_->tensor(node.inputs[0]).shape.size());
  const std::int64_t axis = node.integer("axis", node.opset < 13 ? 1 : -1);
  return axis == -1 || axis == rank - 1;
}

}  // namespace bitplan
