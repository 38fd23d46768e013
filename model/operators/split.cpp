#include <numeric>

#include "model/operators/declarations.hpp"
#include "model/operators/strided.hpp"

// Split along one axis: sizes from attribute 'split' (before opset 13) or input 1, or equal parts; since opset 18 the
// number of equal parts may be stated by num_outputs, and the last part may be smaller.
namespace bitplan {
namespace {

struct SplitPlan {
  std::size_t axis;
  std::vector<std::int64_t> sizes;
};

SplitPlan plan_split(const Node& node, FactsIn inputs) {
  const Shape& in = inputs[0]->shape;
  SplitPlan plan{axis_of(node, node.integer("axis", 0), in.size()),
                 attribute_or_input(node, inputs, "split", 13, 1, {})};
  const std::int64_t size = in[plan.axis], parts = static_cast<std::int64_t>(node.outputs.size());
  const bool given = node.opset < 13 ? node.has("split") : optional_input(inputs, 1) != nullptr;
  if (node.has("num_outputs") && (node.opset < 18 || given || node.integer("num_outputs", 0) != parts))
    fail_node(node, "attribute 'num_outputs' contradicts its other inputs or outputs");
  if (!given) {
    if (size % parts != 0 && !node.has("num_outputs"))
      fail_node(node, "axis " + std::to_string(plan.axis) + " of " + to_string(in) + " cannot be split into " +
                          std::to_string(parts) + " equal parts");
    const std::int64_t part = (size + parts - 1) / parts;
    for (std::int64_t i = 0, left = size; i < parts; ++i) {
      plan.sizes.push_back(std::min(part, left));
      left -= plan.sizes.back();
    }
  }
  bool fits = static_cast<std::int64_t>(plan.sizes.size()) == parts;
  std::int64_t left = size;
  for (const auto s : plan.sizes) {
    fits = fits && s >= 0 && s <= left;
    if (fits) left -= s;
  }
  if (!fits || left != 0)
    fail_node(node, "its sizes do not add up to axis " + std::to_string(plan.axis) + " of " + to_string(in));
  return plan;
}

}  // namespace

Facts infer_split(const Node& node, FactsIn inputs) {
  const SplitPlan plan = plan_split(node, inputs);
  Facts facts;
  for (const auto size : plan.sizes) {
    Shape shape = inputs[0]->shape;
    shape[plan.axis] = size;
    facts.push_back(make_facts(node, inputs[0]->dtype, std::move(shape)));
  }
  return facts;
}

std::vector<Tensor> evaluate_split(const Node& node, TensorsIn inputs) {
  const SplitPlan plan = plan_split(node, KnownInputs(inputs));
  const Strides strides = strides_of(inputs[0]->shape());
  std::vector<Tensor> parts;
  std::int64_t begin = 0;
  for (const auto size : plan.sizes) {
    Shape shape = inputs[0]->shape();
    shape[plan.axis] = size;
    parts.push_back(strided_copy(*inputs[0], shape, strides, begin * strides[plan.axis]));
    begin += size;
  }
  return parts;
}

}  // namespace bitplan
