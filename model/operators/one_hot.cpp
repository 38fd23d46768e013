#include "model/operators/declarations.hpp"
#include "model/operators/lines.hpp"

// OneHot: along a new axis of `depth`, values[1] at the index and values[0] elsewhere; indices outside -depth … depth -
// 1 give values[0] everywhere.
namespace bitplan {
namespace {

struct OneHotPlan {
  std::size_t axis;
  Shape shape;
};

OneHotPlan plan_one_hot(const Node& node, FactsIn inputs) {
  require_number(node, *inputs[0]);
  if (inputs[2]->shape != Shape{2}) fail_node(node, "its input 'values' must have two elements: off and on");
  const TensorFacts& given = *inputs[1];
  require_number(node, given);
  if (!given.constant) fail_data_dependent(node, "its input 'depth'");
  const Tensor depth = given.constant->cast(DType::f64);
  if (depth.size() != 1 || !(depth.values<double>()[0] >= 1 && depth.values<double>()[0] <= 0x1p31))
    fail_node(node, "its input 'depth' is not one number from 1 to 2^31");
  Shape shape = inputs[0]->shape;
  const std::size_t axis = axis_of(node, node.integer("axis", -1), shape.size() + 1);
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis), static_cast<std::int64_t>(depth.values<double>()[0]));
  return {axis, std::move(shape)};
}

}  // namespace

Facts infer_one_hot(const Node& node, FactsIn inputs) {
  return one_output(node, inputs[2]->dtype, plan_one_hot(node, inputs).shape);
}

std::vector<Tensor> evaluate_one_hot(const Node& node, TensorsIn inputs) {
  const OneHotPlan plan = plan_one_hot(node, KnownInputs(inputs));
  const Tensor &values = *inputs[2], indices = inputs[0]->cast(DType::i64);
  Tensor y(values.dtype(), plan.shape);
  const std::size_t bytes = size_of(y.dtype());
  std::byte* to = y.mutable_bytes();
  for (std::size_t i = 0; i < y.size(); ++i) std::memcpy(to + i * bytes, values.bytes(), bytes);
  const Lines lines = Lines::of(plan.shape, plan.axis);
  for (std::int64_t n = 0; n < lines.count(); ++n) {
    std::int64_t index = indices.values<std::int64_t>()[static_cast<std::size_t>(n)];
    if (index < -lines.length || index >= lines.length) continue;
    if (index < 0) index += lines.length;
    std::memcpy(to + static_cast<std::size_t>(lines.begin(n) + index * lines.inner) * bytes, values.bytes() + bytes,
                bytes);
  }
  return {y};
}

}  // namespace bitplan
