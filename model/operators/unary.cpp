#include <cmath>
#include <numbers>

#include "model/operators/declarations.hpp"
#include "model/operators/elementwise.hpp"

// Operators that map each element on its own.
namespace bitplan {

Facts infer_unary_number(const Node& node, FactsIn inputs) {
  require_number(node, *inputs[0]);
  return one_output(node, inputs[0]->dtype, inputs[0]->shape);
}

Facts infer_unary_float(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::f32, DType::f64});
  return one_output(node, inputs[0]->dtype, inputs[0]->shape);
}

Facts infer_gelu(const Node& node, FactsIn inputs) {
  const std::string mode = node.text("approximate", "none");
  if (mode != "none" && mode != "tanh") fail_node(node, "attribute 'approximate' is '" + mode + "'; known: none, tanh");
  return infer_unary_float(node, inputs);
}

Facts infer_not(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::boolean});
  return one_output(node, DType::boolean, inputs[0]->shape);
}

namespace {

template <class T>
T sigmoid(T x) {  // no overflow on either side
  if (x >= 0) return T(1) / (T(1) + std::exp(-x));
  const T e = std::exp(x);
  return e / (T(1) + e);
}

}  // namespace

std::vector<Tensor> evaluate_relu(const Node&, TensorsIn inputs) {
  return map_numbers(inputs, []<class T>(T x) { return x < T(0) ? T(0) : x; });
}

std::vector<Tensor> evaluate_leaky_relu(const Node& node, TensorsIn inputs) {
  const float alpha = node.number("alpha", 0.01f);
  return map_floats(inputs, [alpha]<class T>(T x) { return x < T(0) ? static_cast<T>(alpha) * x : x; });
}

std::vector<Tensor> evaluate_elu(const Node& node, TensorsIn inputs) {
  const float alpha = node.number("alpha", 1.0f);
  return map_floats(inputs, [alpha]<class T>(T x) { return x < T(0) ? static_cast<T>(alpha) * std::expm1(x) : x; });
}

std::vector<Tensor> evaluate_sigmoid(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return sigmoid(x); });
}

std::vector<Tensor> evaluate_hard_sigmoid(const Node& node, TensorsIn inputs) {
  const float alpha = node.number("alpha", 0.2f), beta = node.number("beta", 0.5f);
  return map_floats(inputs, [=]<class T>(T x) {
    return std::max(T(0), std::min(T(1), static_cast<T>(alpha) * x + static_cast<T>(beta)));
  });
}

std::vector<Tensor> evaluate_hard_swish(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return x * std::max(T(0), std::min(T(1), x / T(6) + T(0.5))); });
}

std::vector<Tensor> evaluate_softplus(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x))); });
}

std::vector<Tensor> evaluate_gelu(const Node& node, TensorsIn inputs) {
  if (node.text("approximate", "none") == "tanh")
    return map_floats(inputs, []<class T>(T x) {
      const T k = std::sqrt(T(2) / std::numbers::pi_v<T>);
      return T(0.5) * x * (T(1) + std::tanh(k * (x + T(0.044715) * x * x * x)));
    });
  return map_floats(inputs, []<class T>(T x) { return T(0.5) * x * (T(1) + std::erf(x / std::numbers::sqrt2_v<T>)); });
}

std::vector<Tensor> evaluate_tanh(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::tanh(x); });
}
std::vector<Tensor> evaluate_erf(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::erf(x); });
}
std::vector<Tensor> evaluate_sqrt(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::sqrt(x); });
}
std::vector<Tensor> evaluate_exp(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::exp(x); });
}
std::vector<Tensor> evaluate_log(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::log(x); });
}
std::vector<Tensor> evaluate_reciprocal(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return T(1) / x; });
}
std::vector<Tensor> evaluate_floor(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::floor(x); });
}
std::vector<Tensor> evaluate_ceil(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::ceil(x); });
}
std::vector<Tensor> evaluate_round(const Node&, TensorsIn inputs) {  // half to even
  return map_floats(inputs, []<class T>(T x) { return std::nearbyint(x); });
}
std::vector<Tensor> evaluate_sin(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::sin(x); });
}
std::vector<Tensor> evaluate_cos(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::cos(x); });
}

std::vector<Tensor> evaluate_neg(const Node&, TensorsIn inputs) {
  return map_numbers(inputs, []<class T>(T x) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(std::uint64_t{0} - static_cast<std::uint64_t>(x));
    else
      return -x;
  });
}

std::vector<Tensor> evaluate_abs(const Node&, TensorsIn inputs) {
  return map_numbers(inputs, []<class T>(T x) {
    if constexpr (std::is_integral_v<T>)
      return x < T(0) ? static_cast<T>(std::uint64_t{0} - static_cast<std::uint64_t>(x)) : x;
    else
      return std::abs(x);
  });
}

std::vector<Tensor> evaluate_sign(const Node&, TensorsIn inputs) {
  return map_numbers(inputs, []<class T>(T x) { return static_cast<T>((x > T(0)) - (x < T(0))); });
}

std::vector<Tensor> evaluate_not(const Node&, TensorsIn inputs) {
  return {map_elements<bool, bool>(*inputs[0], [](bool x) { return !x; })};
}

}  // namespace bitplan
