#include <cmath>

#include "model/operators/broadcasting.hpp"
#include "model/operators/declarations.hpp"
#include "model/operators/dispatch.hpp"

// Arithmetic of two tensors, broadcast together. Integers wrap; an integer division by zero gives 0.
namespace bitplan {

Facts infer_arithmetic(const Node& node, FactsIn inputs) {
  require_number(node, *inputs[0]);
  require_same_type(node, inputs);
  return one_output(node, inputs[0]->dtype, broadcast(node, inputs[0]->shape, inputs[1]->shape));
}

Facts infer_pow(const Node& node, FactsIn inputs) {
  require_number(node, *inputs[0]);
  require_number(node, *inputs[1]);
  return one_output(node, inputs[0]->dtype, broadcast(node, inputs[0]->shape, inputs[1]->shape));
}

Facts infer_mod(const Node& node, FactsIn inputs) {
  const bool floats = !inputs[0] ? false : inputs[0]->dtype == DType::f32 || inputs[0]->dtype == DType::f64;
  if (floats && node.integer("fmod", 0) == 0) fail_node(node, "floats need attribute fmod = 1");
  return infer_arithmetic(node, inputs);
}

Facts infer_prelu(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::f32, DType::f64});
  require_same_type(node, inputs);
  if (broadcast(node, inputs[0]->shape, inputs[1]->shape) != inputs[0]->shape)
    fail_node(node, "slope " + to_string(inputs[1]->shape) + " does not broadcast to " + to_string(inputs[0]->shape));
  return one_output(node, inputs[0]->dtype, inputs[0]->shape);
}

namespace {

template <class Function>
std::vector<Tensor> map_arithmetic(const Node& node, TensorsIn inputs, const Function& function) {
  return {visit_number(inputs[0]->dtype(), [&]<class T>(T) {
    return map_pairs<T, T>(node, *inputs[0], *inputs[1], [&](T a, T b) -> T {
      if constexpr (std::is_integral_v<T>)  // unsigned: overflow wraps
        return static_cast<T>(function(static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b)));
      else
        return function(a, b);
    });
  })};
}

template <class T>
T divide(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == T(0)) return T(0);
    if constexpr (std::is_signed_v<T>)
      if (b == T(-1)) return static_cast<T>(std::uint64_t{0} - static_cast<std::uint64_t>(a));
    return static_cast<T>(a / b);
  } else {
    return a / b;
  }
}

/// Remainder with the sign of the divisor (Python) or, with fmod, of the dividend (C).
template <class T>
T remainder(T a, T b, bool c_style) {
  if constexpr (std::is_integral_v<T>) {
    if (b == T(0)) return T(0);
    if constexpr (std::is_signed_v<T>)
      if (b == T(-1)) return T(0);
    const T r = static_cast<T>(a % b);
    return !c_style && r != T(0) && (r < T(0)) != (b < T(0)) ? static_cast<T>(r + b) : r;
  } else {
    return std::fmod(a, b);
  }
}

}  // namespace

std::vector<Tensor> evaluate_add(const Node& node, TensorsIn inputs) {
  return map_arithmetic(node, inputs, [](auto a, auto b) { return a + b; });
}
std::vector<Tensor> evaluate_sub(const Node& node, TensorsIn inputs) {
  return map_arithmetic(node, inputs, [](auto a, auto b) { return a - b; });
}
std::vector<Tensor> evaluate_mul(const Node& node, TensorsIn inputs) {
  return map_arithmetic(node, inputs, [](auto a, auto b) { return a * b; });
}

std::vector<Tensor> evaluate_div(const Node& node, TensorsIn inputs) {
  return {visit_number(inputs[0]->dtype(), [&]<class T>(T) {
    return map_pairs<T, T>(node, *inputs[0], *inputs[1], [](T a, T b) { return divide(a, b); });
  })};
}

std::vector<Tensor> evaluate_mod(const Node& node, TensorsIn inputs) {
  const bool c_style = node.integer("fmod", 0) != 0;
  return {visit_number(inputs[0]->dtype(), [&]<class T>(T) {
    return map_pairs<T, T>(node, *inputs[0], *inputs[1], [=](T a, T b) { return remainder(a, b, c_style); });
  })};
}

std::vector<Tensor> evaluate_pow(const Node& node, TensorsIn inputs) {
  const DType dtype = inputs[0]->dtype();
  if (dtype == DType::f32 && inputs[1]->dtype() != DType::f64)
    return {map_pairs<float, float>(node, *inputs[0], inputs[1]->cast(DType::f32),
                                    [](float a, float b) { return std::pow(a, b); })};
  const Tensor power = map_pairs<double, double>(node, inputs[0]->cast(DType::f64), inputs[1]->cast(DType::f64),
                                                 [](double a, double b) { return std::pow(a, b); });
  return {power.cast(dtype)};
}

std::vector<Tensor> evaluate_prelu(const Node& node, TensorsIn inputs) {
  const auto slope = []<class T>(T x, T s) { return x < T(0) ? s * x : x; };
  if (inputs[0]->dtype() == DType::f64) return {map_pairs<double, double>(node, *inputs[0], *inputs[1], slope)};
  return {map_pairs<float, float>(node, *inputs[0], *inputs[1], slope)};
}

}  // namespace bitplan
