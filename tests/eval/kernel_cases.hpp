#pragma once
// Small graphs which the kernels of eval/ are compared with their definition on.

#include <functional>

#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {

using Ints = std::vector<std::int64_t>;

/// A case: what is computed from x [2, c, h, w].
struct Case {
  std::string op, what;
  std::function<TensorId(Builder&, TensorId x)> make;
};

inline Tensor scalar(float value) { return Tensor::of<float>({}, std::vector<float>{value}); }

inline Case unary(const std::string& op, Builder::Attributes attributes = {}) {
  return {op, "", [=](Builder& b, TensorId x) { return b.op(op, {x}, attributes); }};
}
/// Element-wise operators (pointwise_cases_test.cpp).
std::vector<Case> pointwise_cases();
/// Transformers' functions as exporters write them, and operators that vision models add (pattern_cases_test.cpp).
std::vector<Case> pattern_cases();

}  // namespace bitplan::test
