#include <cmath>

#include "model/operators/broadcasting.hpp"
#include "model/operators/declarations.hpp"

// Normalization over the axes from `axis` on:
//   LayerNormalization   y = (x - mean) / sqrt(variance + epsilon) scale + bias;  outputs 1, 2: mean, 1 / sqrt(…)
//   RMSNormalization     y = x / sqrt(mean of squares + epsilon) scale            (opset 23)
namespace bitplan {
namespace {

/// What one row of the normalized axes is shifted and multiplied by.
struct Moments {
  double mean, factor;
};

Moments moments_of(std::span<const float> row, bool centred, double epsilon) {
  const auto n = static_cast<double>(row.size());
  double sum = 0, squares = 0;
  if (centred)
    for (const float x : row) sum += static_cast<double>(x);
  const double mean = sum / n;
  for (const float x : row) squares += (static_cast<double>(x) - mean) * (static_cast<double>(x) - mean);
  return {mean, 1 / std::sqrt(squares / n + epsilon)};
}

std::ptrdiff_t first_axis(const Node& node, const Shape& shape) {
  return static_cast<std::ptrdiff_t>(axis_of(node, node.integer("axis", -1), shape.size()));
}

}  // namespace

Facts infer_layer_normalization(const Node& node, FactsIn inputs) {
  const TensorFacts& x = *inputs[0];
  require_type(node, x, {DType::f32});
  require_same_type(node, inputs);
  const std::ptrdiff_t axis = first_axis(node, x.shape);
  const Shape normalized(x.shape.begin() + axis, x.shape.end());
  for (std::size_t i = 1; i < inputs.size(); ++i)
    if (inputs[i] && broadcast(node, inputs[i]->shape, normalized) != normalized)
      fail_node(node, "a parameter of shape " + to_string(inputs[i]->shape) + " does not fit the normalized shape " +
                          to_string(normalized));
  Facts facts = one_output(node, DType::f32, x.shape);
  Shape rows = x.shape;
  std::fill(rows.begin() + axis, rows.end(), 1);
  while (facts.size() < node.outputs.size()) facts.push_back(make_facts(node, DType::f32, rows));
  return facts;
}

std::vector<Tensor> evaluate_layer_normalization(const Node& node, TensorsIn inputs) {
  const KnownInputs known(inputs);
  std::vector<Tensor> outputs;
  for (const auto& facts : infer_layer_normalization(node, known)) outputs.emplace_back(facts.dtype, facts.shape);
  Tensor& y = outputs[0] = *inputs[0];
  const Shape& shape = y.shape();
  const Shape normalized(shape.begin() + first_axis(node, shape), shape.end());
  const auto epsilon = static_cast<double>(node.number("epsilon", 1e-5f));
  const bool centred = node.op == "LayerNormalization";
  // Parameters may be smaller than the normalized shape: spread them once.
  const auto spread = [&](const Tensor& p) {
    return strided_copy(p, normalized, broadcast_strides(p.shape(), normalized));
  };
  const Tensor scale = spread(*inputs[1]);
  const Tensor* given_bias = optional_input(inputs, 2);
  const Tensor bias = given_bias ? spread(*given_bias) : Tensor(DType::f32, normalized);
  const auto s = scale.values<float>(), b = bias.values<float>();
  const auto v = y.writable<float>();
  const std::size_t n = s.size(), rows = n == 0 ? 0 : v.size() / n;
  for (std::size_t r = 0; r < rows; ++r) {
    const auto row = v.subspan(r * n, n);
    const Moments m = moments_of(row, centred, epsilon);
    for (std::size_t i = 0; i < n; ++i)
      row[i] = static_cast<float>((static_cast<double>(row[i]) - m.mean) * m.factor * static_cast<double>(s[i]) +
                                  static_cast<double>(b[i]));
    if (outputs.size() > 1) outputs[1].writable<float>()[r] = static_cast<float>(m.mean);
    if (outputs.size() > 2) outputs[2].writable<float>()[r] = static_cast<float>(m.factor);
  }
  return outputs;
}

}  // namespace bitplan
