#include "model/import/expand_attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/import/node_maker.hpp"
#include "model/operators/arguments.hpp"

namespace bitplan {
namespace {

constexpr float kHidden = std::numeric_limits<float>::lowest();
constexpr std::int64_t kMostMasked = std::int64_t{1} << 26;  ///< elements of a causal mask: 8,192 by 8,192

Tensor number(float value) { return Tensor::of<float>({}, std::vector<float>{value}); }

/// Keys behind a query's own position are hidden.
Tensor causal_mask(const Node& node, std::int64_t queries, std::int64_t keys) {
  if (queries > kMostMasked / std::max<std::int64_t>(keys, 1))
    fail_node(node, "its causal mask of " + std::to_string(queries) + " by " + std::to_string(keys) +
                        " is too large; shorten the sequence to 8192");
  Tensor mask(DType::f32, {queries, keys});
  const auto values = mask.writable<float>();
  for (std::int64_t i = 0; i < queries * keys; ++i)
    values[static_cast<std::size_t>(i)] = i % keys > i / keys ? kHidden : 0;
  return mask;
}

/// [batch, heads, length, size] with every head `times` times in a row.
TensorId repeat_heads(NodeMaker& make, TensorId x, const Shape& shape, std::int64_t times, const std::string& name) {
  if (times == 1) return x;
  const TensorId apart = make.change_axis("Unsqueeze", x, 2);
  const TensorId sizes = make.integers({shape[0], shape[1], times, shape[2], shape[3]});
  const TensorId repeated = make.add("Expand", {apart, sizes}, name + "_repeated");
  const TensorId together = make.integers({shape[0], shape[1] * times, shape[2], shape[3]});
  return make.add("Reshape", {repeated, together}, name + "_heads");
}

}  // namespace

bool is_attention(const Draft& draft, const Node& node) {
  return node.op == "Attention" && !node.inputs.empty() && node.inputs[0] != kNoTensor &&
         draft.tensor(node.inputs[0]).shape.size() == 4;
}

std::vector<DraftNode> expand_attention(Draft& draft, const Node& node) {
  const Shape q = draft.tensor(node.inputs[0]).shape, k = draft.tensor(node.inputs[1]).shape;
  const Shape v = draft.tensor(node.inputs[2]).shape;
  const auto scale = node.number("scale", static_cast<float>(1 / std::sqrt(static_cast<double>(q[3]))));
  NodeMaker make(draft, node);
  const TensorId keys = repeat_heads(make, node.inputs[1], k, q[1] / k[1], "/keys");
  const TensorId values = repeat_heads(make, node.inputs[2], v, q[1] / v[1], "/values");
  const TensorId turned = make.add("Transpose", {keys}, "/keys_transposed");
  make.nodes.back().node.attributes["perm"] = std::vector<std::int64_t>{0, 1, 3, 2};
  TensorId scores = make.add("MatMul", {node.inputs[0], turned}, "/scores");
  if (scale != 1) scores = make.add("Mul", {scores, make.constant(number(scale))}, "/scale");
  if (node.inputs.size() > 3 && node.inputs[3] != kNoTensor) {
    TensorId mask = node.inputs[3];
    if (draft.tensor(mask).dtype == DType::boolean)
      mask = make.add("Where", {mask, make.constant(number(0)), make.constant(number(kHidden))}, "/mask_values");
    scores = make.add("Add", {scores, mask}, "/mask");
  }
  if (node.integer("is_causal", 0) != 0)
    scores = make.add("Add", {scores, make.constant(causal_mask(node, q[2], k[2]))}, "/causal");
  const TensorId shares = make.add("Softmax", {scores}, "/softmax");
  make.add("MatMul", {shares, values}, node.outputs);
  return std::move(make.nodes);
}

}  // namespace bitplan
