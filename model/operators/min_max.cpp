#include <cmath>

#include "model/operators/broadcasting.hpp"
#include "model/operators/declarations.hpp"
#include "model/operators/dispatch.hpp"

// Min and Max of any number of tensors, broadcast; a NaN stays a NaN, as in NumPy.
namespace bitplan {

Facts infer_min_max(const Node& node, FactsIn inputs) {
  Shape shape;
  for (const auto* input : inputs) {
    if (input == nullptr) fail_node(node, "no input may be left out");
    require_number(node, *input);
    shape = broadcast(node, shape, input->shape);
  }
  require_same_type(node, inputs);
  return one_output(node, inputs[0]->dtype, std::move(shape));
}

namespace {

template <class Better>
std::vector<Tensor> fold_inputs(const Node& node, TensorsIn inputs, const Better& better) {
  Tensor best = *inputs[0];
  for (const auto* input : inputs.subspan(1))
    best = visit_number(best.dtype(), [&]<class T>(T) {
      return map_pairs<T, T>(node, best, *input, [&](T a, T b) { return a != a || better(a, b) ? a : b; });
    });
  return {best};
}

}  // namespace

std::vector<Tensor> evaluate_min(const Node& node, TensorsIn inputs) {
  return fold_inputs(node, inputs, [](auto a, auto b) { return a < b; });
}
std::vector<Tensor> evaluate_max(const Node& node, TensorsIn inputs) {
  return fold_inputs(node, inputs, [](auto a, auto b) { return a > b; });
}

}  // namespace bitplan
