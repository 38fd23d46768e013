#include "model/operators/declarations.hpp"
#include "model/operators/dispatch.hpp"

// Clip: min(max(x, low), high); the bounds are inputs since opset 11, scalars, and may be absent.
namespace bitplan {

Facts infer_clip(const Node& node, FactsIn inputs) {
  require_number(node, *inputs[0]);
  require_same_type(node, inputs);
  for (std::size_t i : {1u, 2u})
    if (const auto* bound = optional_input(inputs, i); bound && element_count(bound->shape) != 1)
      fail_node(node, "a bound of shape " + to_string(bound->shape) + " is not a scalar");
  return one_output(node, inputs[0]->dtype, inputs[0]->shape);
}

std::vector<Tensor> evaluate_clip(const Node&, TensorsIn inputs) {
  Tensor y = *inputs[0];
  visit_number(y.dtype(), [&]<class T>(T) {
    const Tensor *low = optional_input(inputs, 1), *high = optional_input(inputs, 2);
    for (T& v : y.writable<T>()) {
      if (low && v < low->values<T>()[0]) v = low->values<T>()[0];
      if (high && v > high->values<T>()[0]) v = high->values<T>()[0];
    }
  });
  return {y};
}

}  // namespace bitplan
