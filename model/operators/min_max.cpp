#include <cmath>

#include "model/operators/broadcasting.hpp"
#include "model/operators/declarations.hpp"
#include "model/operators/dispatch.hpp"

// Min, Max, Sum and Mean of any number of tensors, broadcast; a NaN stays a NaN, as in NumPy.
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

Facts infer_sum(const Node& node, FactsIn inputs) {
  Facts facts = infer_min_max(node, inputs);
  require_type(node, *inputs[0], {DType::f32, DType::f64});
  return facts;
}

std::vector<Tensor> evaluate_sum(const Node& node, TensorsIn inputs) {
  Tensor sum = inputs[0]->cast(DType::f64);
  for (const auto* input : inputs.subspan(1))
    sum = map_pairs<double, double>(node, sum, input->cast(DType::f64), [](double a, double b) { return a + b; });
  return {sum.cast(inputs[0]->dtype())};
}

std::vector<Tensor> evaluate_mean(const Node& node, TensorsIn inputs) {
  Tensor sum = evaluate_sum(node, inputs)[0].cast(DType::f64);
  for (double& v : sum.writable<double>()) v /= static_cast<double>(inputs.size());
  return {sum.cast(inputs[0]->dtype())};
}

}  // namespace bitplan
