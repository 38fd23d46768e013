#include <cmath>

#include "model/operators/declarations.hpp"
#include "model/operators/dispatch.hpp"

// Range: start, start + delta, … before limit. All three must be known at import, since they decide the shape.
namespace bitplan {
namespace {

std::int64_t length_of(const Node& node, FactsIn inputs) {
  require_number(node, *inputs[0]);
  require_same_type(node, inputs);
  for (const auto* input : inputs) {
    if (element_count(input->shape) != 1) fail_node(node, "its inputs must be scalars");
    if (!input->constant) fail_data_dependent(node, "one of its inputs");
  }
  const double length = visit_number(inputs[0]->dtype, [&]<class T>(T) {
    const auto value = [&](std::size_t i) { return static_cast<double>(inputs[i]->constant->values<T>()[0]); };
    return std::ceil((value(1) - value(0)) / value(2));
  });
  if (!(length <= 0x1p31)) fail_node(node, "it would have more than 2^31 elements");  // also a step of 0
  return length > 0 ? static_cast<std::int64_t>(length) : 0;
}

}  // namespace

Facts infer_range(const Node& node, FactsIn inputs) {
  return one_output(node, inputs[0]->dtype, {length_of(node, inputs)});
}

std::vector<Tensor> evaluate_range(const Node& node, TensorsIn inputs) {
  Tensor out(inputs[0]->dtype(), {length_of(node, KnownInputs(inputs))});
  visit_number(out.dtype(), [&]<class T>(T) {
    const T start = inputs[0]->values<T>()[0], delta = inputs[2]->values<T>()[0];
    const auto values = out.writable<T>();
    using Step = std::conditional_t<std::is_floating_point_v<T>, T, std::uint64_t>;  // integers wrap, never overflow
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<T>(static_cast<Step>(start) + static_cast<Step>(i) * static_cast<Step>(delta));
  });
  return {out};
}

}  // namespace bitplan
