#include <cmath>

#include "model/operators/broadcasting.hpp"
#include "model/operators/declarations.hpp"

// LayerNormalization over the axes from `axis` on: y = (x - mean) / sqrt(variance + epsilon) scale + bias
namespace bitplan {

Facts infer_layer_normalization(const Node& node, FactsIn inputs) {
  const TensorFacts& x = *inputs[0];
  require_type(node, x, {DType::f32});
  require_same_type(node, inputs);
  const std::size_t axis = axis_of(node, node.integer("axis", -1), x.shape.size());
  for (std::size_t i = 1; i < node.outputs.size(); ++i)
    if (node.outputs[i] != kNoTensor) fail_node(node, "only its first output is supported");
  const Shape normalized(x.shape.begin() + static_cast<std::ptrdiff_t>(axis), x.shape.end());
  for (std::size_t i = 1; i < inputs.size(); ++i)
    if (inputs[i] && broadcast(node, inputs[i]->shape, normalized) != normalized)
      fail_node(node, "a parameter of shape " + to_string(inputs[i]->shape) + " does not fit the normalized shape " +
                          to_string(normalized));
  return one_output(node, DType::f32, x.shape);
}

std::vector<Tensor> evaluate_layer_normalization(const Node& node, TensorsIn inputs) {
  Tensor y = *inputs[0];
  const Shape& shape = y.shape();
  const auto axis = static_cast<std::ptrdiff_t>(axis_of(node, node.integer("axis", -1), shape.size()));
  const Shape normalized(shape.begin() + axis, shape.end());
  const auto epsilon = static_cast<double>(node.number("epsilon", 1e-5f));
  // Parameters may be smaller than the normalized shape: spread them once.
  const auto spread = [&](const Tensor& p) {
    return strided_copy(p, normalized, broadcast_strides(p.shape(), normalized));
  };
  const Tensor scale = spread(*inputs[1]);
  const Tensor* given_bias = optional_input(inputs, 2);
  const Tensor bias = given_bias ? spread(*given_bias) : Tensor(DType::f32, normalized);
  const auto s = scale.values<float>(), b = bias.values<float>();
  const std::size_t n = s.size();
  const auto v = y.writable<float>();
  for (std::size_t begin = 0; begin + n <= v.size() && n > 0; begin += n) {
    const auto row = v.subspan(begin, n);
    double sum = 0, squares = 0;
    for (const float x : row) sum += static_cast<double>(x);
    const double mean = sum / static_cast<double>(n);
    for (const float x : row) squares += (static_cast<double>(x) - mean) * (static_cast<double>(x) - mean);
    const double factor = 1 / std::sqrt(squares / static_cast<double>(n) + epsilon);
    for (std::size_t i = 0; i < n; ++i)
      row[i] = static_cast<float>((static_cast<double>(row[i]) - mean) * factor * static_cast<double>(s[i]) +
                                  static_cast<double>(b[i]));
  }
  return {y};
}

}  // namespace bitplan
