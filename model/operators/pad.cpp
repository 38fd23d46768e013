#include <algorithm>

#include "model/operators/declarations.hpp"
#include "model/operators/strided.hpp"

// Pad: mode constant, reflect, edge or (opset 19) wrap; negative pads cut. Pads are an input since opset 11, its axes
// since opset 18.
namespace bitplan {
namespace {

struct PadPlan {
  Shape before, after;  ///< by axis
  Shape shape;
};

PadPlan plan_pad(const Node& node, FactsIn inputs) {
  const Shape& in = inputs[0]->shape;
  const auto pads = known_integers(node, inputs, 1, "pads");
  PadPlan plan{Shape(in.size(), 0), Shape(in.size(), 0), in};
  std::vector<std::int64_t> axes;
  if (optional_input(inputs, 3)) {
    if (node.opset < 18) fail_node(node, "'axes' is no input in this opset");
    axes = known_integers(node, inputs, 3, "axes");
    axes_of(node, axes, in.size());  // refuses repeated axes
  } else {
    for (std::size_t d = 0; d < in.size(); ++d) axes.push_back(static_cast<std::int64_t>(d));
  }
  if (pads.size() != 2 * axes.size())
    fail_node(node, "its input 'pads' has " + std::to_string(pads.size()) + " entries; " +
                        std::to_string(2 * axes.size()) + " are needed");
  const std::string mode = node.text("mode", "constant");
  if (mode != "constant" && mode != "reflect" && mode != "edge" && !(mode == "wrap" && node.opset >= 19))
    fail_node(node, "attribute 'mode' is '" + mode + "'; known: constant, reflect, edge, wrap (opset 19)");
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::size_t d = axis_of(node, axes[i], in.size());
    const std::int64_t before = pads[i], after = pads[i + axes.size()];
    if (std::max(before, after) > kMost || std::min(before, after) < -kMost)
      fail_node(node, "a pad is larger than 2^40");
    plan.before[d] = before, plan.after[d] = after, plan.shape[d] += before + after;
    if (plan.shape[d] < 0) fail_node(node, "pads cut more than axis " + std::to_string(d) + " has");
    const bool widens = before > 0 || after > 0;
    if (widens && mode == "reflect" && std::max(before, after) >= in[d])
      fail_node(node, "reflect cannot pad axis " + std::to_string(d) + " of " + to_string(in) + " by " +
                          std::to_string(std::max(before, after)));
    if (widens && mode != "constant" && in[d] == 0) fail_node(node, "an empty axis can only be padded by a constant");
  }
  return plan;
}

/// Where position p of an axis of `size` elements comes from; -1: from the constant.
std::int64_t source(const std::string& mode, std::int64_t p, std::int64_t size) {
  if (p >= 0 && p < size) return p;
  if (mode == "edge") return p < 0 ? 0 : size - 1;
  if (mode == "wrap") return ((p % size) + size) % size;
  if (mode == "reflect") return p < 0 ? -p : 2 * (size - 1) - p;
  return -1;
}

}  // namespace

Facts infer_pad(const Node& node, FactsIn inputs) {
  if (const auto* value = optional_input(inputs, 2)) {
    if (value->dtype != inputs[0]->dtype) fail_node(node, "the padding value has another type than the data");
    if (element_count(value->shape) != 1) fail_node(node, "the padding value is not a scalar");
  }
  return one_output(node, inputs[0]->dtype, plan_pad(node, inputs).shape);
}

std::vector<Tensor> evaluate_pad(const Node& node, TensorsIn inputs) {
  const Tensor &in = *inputs[0], *value = optional_input(inputs, 2);
  const PadPlan plan = plan_pad(node, KnownInputs(inputs));
  const std::string mode = node.text("mode", "constant");
  Tensor out(in.dtype(), plan.shape);
  const std::size_t rank = plan.shape.size(), bytes = size_of(in.dtype());
  const Strides strides = strides_of(in.shape());
  std::vector<std::vector<std::int64_t>> from(rank);  // by axis and position: element offset, or -1
  for (std::size_t d = 0; d < rank; ++d)
    for (std::int64_t p = 0; p < plan.shape[d]; ++p) {
      const std::int64_t s = source(mode, p - plan.before[d], in.shape()[d]);
      from[d].push_back(s < 0 ? -1 : s * strides[d]);
    }
  std::byte* to = out.mutable_bytes();
  Shape index(rank, 0);
  for (std::size_t i = 0; i < out.size(); ++i, to += bytes) {
    std::int64_t offset = 0;
    for (std::size_t d = 0; d < rank && offset >= 0; ++d) {
      const std::int64_t part = from[d][static_cast<std::size_t>(index[d])];
      offset = part < 0 ? -1 : offset + part;
    }
    if (offset >= 0)
      std::memcpy(to, in.bytes() + static_cast<std::size_t>(offset) * bytes, bytes);
    else if (value)
      std::memcpy(to, value->bytes(), bytes);
    for (std::size_t d = rank; d-- > 0 && ++index[d] == plan.shape[d];) index[d] = 0;
  }
  return {out};
}

}  // namespace bitplan
