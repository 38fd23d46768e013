#include <cmath>

#include "model/operators/declarations.hpp"
#include "model/operators/elementwise.hpp"

// The rarer activation functions.
namespace bitplan {

/// x > 0 ? gamma x : gamma alpha (e^x - 1)
std::vector<Tensor> evaluate_selu(const Node& node, TensorsIn inputs) {
  const float alpha = node.number("alpha", 1.67326319217681884765625f);
  const float gamma = node.number("gamma", 1.05070102214813232421875f);
  return map_floats(inputs, [=]<class T>(T x) {
    return static_cast<T>(gamma) * (x > T(0) ? x : static_cast<T>(alpha) * std::expm1(x));
  });
}

/// max(0, x) + min(0, alpha (e^(x / alpha) - 1))
std::vector<Tensor> evaluate_celu(const Node& node, TensorsIn inputs) {
  const float alpha = node.number("alpha", 1.0f);
  return map_floats(inputs, [alpha]<class T>(T x) {
    const T a = static_cast<T>(alpha);
    return std::max(T(0), x) + std::min(T(0), a * std::expm1(x / a));
  });
}

std::vector<Tensor> evaluate_thresholded_relu(const Node& node, TensorsIn inputs) {
  const float alpha = node.number("alpha", 1.0f);
  return map_floats(inputs, [alpha]<class T>(T x) { return x > static_cast<T>(alpha) ? x : T(0); });
}

/// x < -lambd: x + bias;  x > lambd: x - bias;  else 0
std::vector<Tensor> evaluate_shrink(const Node& node, TensorsIn inputs) {
  const float lambda = node.number("lambd", 0.5f), bias = node.number("bias", 0.0f);
  return map_floats(inputs, [=]<class T>(T x) {
    if (x < static_cast<T>(-lambda)) return x + static_cast<T>(bias);
    return x > static_cast<T>(lambda) ? x - static_cast<T>(bias) : T(0);
  });
}

std::vector<Tensor> evaluate_softsign(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return x / (T(1) + std::abs(x)); });
}

/// x tanh(ln(1 + e^x))
std::vector<Tensor> evaluate_mish(const Node&, TensorsIn inputs) {
  return map_floats(inputs,
                    []<class T>(T x) { return x * std::tanh(std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x)))); });
}

}  // namespace bitplan
