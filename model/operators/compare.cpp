#include "model/operators/broadcasting.hpp"
#include "model/operators/declarations.hpp"
#include "model/operators/dispatch.hpp"

// Comparisons and logic, broadcast; all give bool.
namespace bitplan {

Facts infer_compare(const Node& node, FactsIn inputs) {
  require_number(node, *inputs[0]);
  return infer_equal(node, inputs);
}

Facts infer_equal(const Node& node, FactsIn inputs) {
  if (inputs[0]->dtype != DType::boolean) require_number(node, *inputs[0]);
  require_same_type(node, inputs);
  return one_output(node, DType::boolean, broadcast(node, inputs[0]->shape, inputs[1]->shape));
}

Facts infer_logic(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::boolean});
  return infer_equal(node, inputs);
}

namespace {

template <class Function>
std::vector<Tensor> compare(const Node& node, TensorsIn inputs, const Function& function) {
  if (inputs[0]->dtype() == DType::boolean) return {map_pairs<bool, bool>(node, *inputs[0], *inputs[1], function)};
  return {visit_number(inputs[0]->dtype(),
                       [&]<class T>(T) { return map_pairs<T, bool>(node, *inputs[0], *inputs[1], function); })};
}

}  // namespace

std::vector<Tensor> evaluate_equal(const Node& node, TensorsIn inputs) {
  return compare(node, inputs, [](auto a, auto b) { return a == b; });
}
std::vector<Tensor> evaluate_less(const Node& node, TensorsIn inputs) {
  return compare(node, inputs, [](auto a, auto b) { return a < b; });
}
std::vector<Tensor> evaluate_greater(const Node& node, TensorsIn inputs) {
  return compare(node, inputs, [](auto a, auto b) { return a > b; });
}
std::vector<Tensor> evaluate_less_or_equal(const Node& node, TensorsIn inputs) {
  return compare(node, inputs, [](auto a, auto b) { return a <= b; });
}
std::vector<Tensor> evaluate_greater_or_equal(const Node& node, TensorsIn inputs) {
  return compare(node, inputs, [](auto a, auto b) { return a >= b; });
}
std::vector<Tensor> evaluate_and(const Node& node, TensorsIn inputs) {
  return {map_pairs<bool, bool>(node, *inputs[0], *inputs[1], [](bool a, bool b) { return a && b; })};
}
std::vector<Tensor> evaluate_or(const Node& node, TensorsIn inputs) {
  return {map_pairs<bool, bool>(node, *inputs[0], *inputs[1], [](bool a, bool b) { return a || b; })};
}
std::vector<Tensor> evaluate_xor(const Node& node, TensorsIn inputs) {
  return {map_pairs<bool, bool>(node, *inputs[0], *inputs[1], [](bool a, bool b) { return a != b; })};
}

}  // namespace bitplan
