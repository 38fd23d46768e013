#include <algorithm>

#include "model/operators/declarations.hpp"
#include "model/operators/strided.hpp"

// Slice: start, start + step, … before end along each named axis; negative values count from the end of the axis.
namespace bitplan {
namespace {

struct SlicePlan {
  Shape shape;
  Strides strides;
  std::int64_t offset = 0;
};

SlicePlan plan_slice(const Node& node, FactsIn inputs) {
  const Shape& in = inputs[0]->shape;
  const auto starts = known_integers(node, inputs, 1, "starts"), ends = known_integers(node, inputs, 2, "ends");
  std::vector<std::int64_t> axes, steps(starts.size(), 1);
  for (std::size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  if (optional_input(inputs, 3)) axes = known_integers(node, inputs, 3, "axes");
  if (optional_input(inputs, 4)) steps = known_integers(node, inputs, 4, "steps");
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size())
    fail_node(node, "its inputs starts, ends, axes and steps have different lengths");
  axes_of(node, axes, in.size());  // refuses repeated axes
  SlicePlan plan{in, strides_of(in), 0};
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::size_t d = axis_of(node, axes[i], in.size());
    const std::int64_t size = in[d];
    if (steps[i] == 0) fail_node(node, "a step is 0");
    if (size == 0) continue;
    const bool up = steps[i] > 0;
    const std::int64_t step = std::clamp(steps[i], -size, size);  // beyond the size all steps are alike
    const auto place = [&](std::int64_t v, std::int64_t low, std::int64_t high) {
      return std::clamp(v < 0 ? v + size : v, low, high);
    };
    const std::int64_t start = place(starts[i], 0, up ? size : size - 1);
    const std::int64_t end = place(ends[i], up ? 0 : -1, up ? size : size - 1);
    const std::int64_t span = up ? end - start : start - end;
    plan.shape[d] = span <= 0 ? 0 : (span - 1) / (up ? step : -step) + 1;
    if (span > 0) plan.offset += start * plan.strides[d];
    plan.strides[d] *= step;
  }
  return plan;
}

}  // namespace

Facts infer_slice(const Node& node, FactsIn inputs) {
  return one_output(node, inputs[0]->dtype, plan_slice(node, inputs).shape);
}

std::vector<Tensor> evaluate_slice(const Node& node, TensorsIn inputs) {
  const SlicePlan plan = plan_slice(node, KnownInputs(inputs));
  return {strided_copy(*inputs[0], plan.shape, plan.strides, plan.offset)};
}

}  // namespace bitplan
