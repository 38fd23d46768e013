#include <cmath>

#include "model/operators/declarations.hpp"
#include "model/operators/elementwise.hpp"

// IsNaN and IsInf: floats to bool.
namespace bitplan {

Facts infer_classify(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::f32, DType::f64});
  return one_output(node, DType::boolean, inputs[0]->shape);
}

namespace {

template <class Function>
std::vector<Tensor> classify(TensorsIn inputs, const Function& function) {
  const Tensor& in = *inputs[0];
  return {in.dtype() == DType::f64 ? map_elements<double, bool>(in, function)
                                   : map_elements<float, bool>(in, function)};
}

}  // namespace

std::vector<Tensor> evaluate_is_nan(const Node&, TensorsIn inputs) {
  return classify(inputs, [](auto x) { return std::isnan(x); });
}

std::vector<Tensor> evaluate_is_inf(const Node& node, TensorsIn inputs) {
  const bool negative = node.integer("detect_negative", 1) != 0, positive = node.integer("detect_positive", 1) != 0;
  return classify(inputs, [=](auto x) { return std::isinf(x) && (x < 0 ? negative : positive); });
}

}  // namespace bitplan
