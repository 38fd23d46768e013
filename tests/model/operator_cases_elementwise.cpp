#include <cmath>
#include <limits>

#include "tests/model/operator_cases.hpp"

namespace bitplan::test {
namespace {

using Cases = std::vector<OperatorCase>;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// x = -2, -0.5, 0, 1, 3 and what the operator makes of it.
OperatorCase unary(const std::string& op, std::vector<float> expected, Attributes attributes = {}, int opset = 17) {
  return {"five values",
          op,
          opset,
          std::move(attributes),
          {f32({5}, {-2, -0.5, 0, 1, 3})},
          {f32({5}, std::move(expected))}};
}

std::vector<float> each(float (*function)(float)) {
  std::vector<float> y;
  for (const float x : {-2.0f, -0.5f, 0.0f, 1.0f, 3.0f}) y.push_back(function(x));
  return y;
}

Cases unary_cases() {
  const float inf = std::numeric_limits<float>::infinity();
  return {
      unary("Relu", {0, 0, 0, 1, 3}),
      unary("LeakyRelu", {-0.02f, -0.005f, 0, 1, 3}),
      unary("LeakyRelu", {-1, -0.25, 0, 1, 3}, {{"alpha", 0.5f}}),
      unary("Elu", {2 * std::expm1(-2.0f), 2 * std::expm1(-0.5f), 0, 1, 3}, {{"alpha", 2.0f}}),
      unary("Sigmoid", each([](float x) { return 1 / (1 + std::exp(-x)); })),
      unary("HardSigmoid", {0.1f, 0.4f, 0.5f, 0.7f, 1}),
      unary("HardSigmoid", {0, 0.25f, 0.5f, 1, 1}, {{"alpha", 0.5f}}),
      unary("HardSwish", {-2.0f / 6, -0.5f * 2.5f / 6, 0, 4.0f / 6, 3}),
      unary("Softplus", each([](float x) { return std::log(1 + std::exp(x)); })),
      unary("Tanh", each([](float x) { return std::tanh(x); })),
      unary("Erf", each([](float x) { return std::erf(x); })),
      unary("Exp", each([](float x) { return std::exp(x); })),
      unary("Log", {kNaN, kNaN, -inf, 0, std::log(3.0f)}),
      unary("Sqrt", {kNaN, kNaN, 0, 1, std::sqrt(3.0f)}),
      unary("Sin", each([](float x) { return std::sin(x); })),
      unary("Cos", each([](float x) { return std::cos(x); })),
      unary("Reciprocal", {-0.5f, -2, inf, 1, 1.0f / 3}),
      unary("Floor", {-2, -1, 0, 1, 3}),
      unary("Ceil", {-2, 0, 0, 1, 3}),
      unary("Neg", {2, 0.5, 0, -1, -3}),
      unary("Abs", {2, 0.5, 0, 1, 3}),
      unary("Sign", {-1, -1, 0, 1, 1}),
      unary("Gelu", each([](float x) { return 0.5f * x * (1 + std::erf(x / std::sqrt(2.0f))); }), {}, 20),
      unary("Gelu",
            each([](float x) { return 0.5f * x * (1 + std::tanh(0.7978845608f * (x + 0.044715f * x * x * x))); }),
            {{"approximate", "tanh"}}, 20),
      unary("Identity", {-2, -0.5, 0, 1, 3}),
      unary("Dropout", {-2, -0.5, 0, 1, 3}, {{"ratio", 0.5f}}, 11),
      {"half to even", "Round", 11, {}, {f32({4}, {0.5, 1.5, 2.5, -1.5})}, {f32({4}, {0, 2, 2, -2})}},
      {"integers", "Neg", 13, {}, {i64({2}, {3, -4})}, {i64({2}, {-3, 4})}},
      {"integers", "Abs", 13, {}, {i32({2}, {3, -4})}, {i32({2}, {3, 4})}},
      {"integers", "Relu", 14, {}, {i32({2}, {3, -4})}, {i32({2}, {3, 0})}},
      {"bools", "Not", 11, {}, {flags({2}, {1, 0})}, {flags({2}, {0, 1})}},
      {"with its mask", "Dropout", 13, {}, {f32({2}, {1, 2})}, {f32({2}, {1, 2}), flags({2}, {1, 1})}},
      {"both bounds", "Clip", 13, {}, {f32({3}, {-5, 1, 9}), f32({}, {0}), f32({}, {6})}, {f32({3}, {0, 1, 6})}},
      {"upper bound only", "Clip", 11, {}, {f32({2}, {-5, 9}), std::nullopt, f32({}, {6})}, {f32({2}, {-5, 6})}},
      {"no bounds", "Clip", 12, {}, {i64({2}, {-5, 9})}, {i64({2}, {-5, 9})}},
  };
}

Cases binary_cases() {
  const Tensor a = f32({2, 1}, {1, 8}), b = f32({2}, {2, 4});
  const Tensor p = i64({4}, {7, -7, 7, 5}), q = i64({4}, {2, 2, -2, 0});
  return {
      {"broadcast", "Add", 13, {}, {a, b}, {f32({2, 2}, {3, 5, 10, 12})}},
      {"a scalar", "Add", 13, {}, {b, f32({}, {1})}, {f32({2}, {3, 5})}},
      {"integers", "Add", 13, {}, {p, q}, {i64({4}, {9, -5, 5, 5})}},
      {"an inner axis is repeated",
       "Add",
       13,
       {},
       {ramp({1, 2, 2}), f32({1, 2, 1}, {10, 20})},
       {f32({1, 2, 2}, {10, 11, 22, 23})}},
      {"broadcast", "Sub", 13, {}, {a, b}, {f32({2, 2}, {-1, -3, 6, 4})}},
      {"broadcast", "Mul", 13, {}, {a, b}, {f32({2, 2}, {2, 4, 16, 32})}},
      {"broadcast", "Div", 13, {}, {a, b}, {f32({2, 2}, {0.5, 0.25, 4, 2})}},
      {"integers go towards zero, by zero gives 0", "Div", 13, {}, {p, q}, {i64({4}, {3, -3, -3, 0})}},
      {"sign of the divisor", "Mod", 13, {}, {p, q}, {i64({4}, {1, 1, -1, 0})}},
      {"sign of the dividend", "Mod", 13, {{"fmod", std::int64_t{1}}}, {p, q}, {i64({4}, {1, -1, 1, 0})}},
      {"floats", "Mod", 13, {{"fmod", std::int64_t{1}}}, {f32({1}, {-5.5}), f32({1}, {2})}, {f32({1}, {-1.5})}},
      {"floats", "Pow", 13, {}, {a, f32({}, {2})}, {f32({2, 1}, {1, 64})}},
      {"integer exponent", "Pow", 15, {}, {f32({2}, {3, 4}), i64({}, {2})}, {f32({2}, {9, 16})}},
      {"integers", "Pow", 15, {}, {i64({2}, {3, 4}), i64({}, {2})}, {i64({2}, {9, 16})}},
      {"a slope for each channel",
       "PRelu",
       11,
       {},
       {f32({1, 2, 2}, {-1, 1, -2, 2}), f32({2, 1}, {0.5, 0.25})},
       {f32({1, 2, 2}, {-0.5, 1, -0.5, 2})}},
      {"three inputs", "Min", 13, {}, {a, b, f32({}, {3})}, {f32({2, 2}, {1, 1, 2, 3})}},
      {"three inputs", "Max", 13, {}, {a, b, f32({}, {3})}, {f32({2, 2}, {3, 4, 8, 8})}},
      {"integers", "Max", 12, {}, {p, q}, {i64({4}, {7, 2, 7, 5})}},
      {"a NaN stays", "Max", 13, {}, {f32({2}, {kNaN, 1}), f32({2}, {1, kNaN})}, {f32({2}, {kNaN, kNaN})}},
      {"floats", "Equal", 13, {}, {f32({2}, {1, 2}), f32({}, {2})}, {flags({2}, {0, 1})}},
      {"bools", "Equal", 13, {}, {flags({2}, {1, 0}), flags({2}, {1, 1})}, {flags({2}, {1, 0})}},
      {"integers", "Less", 13, {}, {i64({3}, {1, 2, 3}), i64({}, {2})}, {flags({3}, {1, 0, 0})}},
      {"floats", "Greater", 13, {}, {f32({3}, {1, 2, 3}), f32({}, {2})}, {flags({3}, {0, 0, 1})}},
      {"floats", "LessOrEqual", 16, {}, {f32({3}, {1, 2, 3}), f32({}, {2})}, {flags({3}, {1, 1, 0})}},
      {"floats", "GreaterOrEqual", 16, {}, {f32({3}, {1, 2, 3}), f32({}, {2})}, {flags({3}, {0, 1, 1})}},
      {"all four", "And", 11, {}, {flags({4}, {0, 0, 1, 1}), flags({4}, {0, 1, 0, 1})}, {flags({4}, {0, 0, 0, 1})}},
      {"all four", "Or", 11, {}, {flags({4}, {0, 0, 1, 1}), flags({4}, {0, 1, 0, 1})}, {flags({4}, {0, 1, 1, 1})}},
      {"all four", "Xor", 11, {}, {flags({4}, {0, 0, 1, 1}), flags({4}, {0, 1, 0, 1})}, {flags({4}, {0, 1, 1, 0})}},
      {"all three broadcast",
       "Where",
       16,
       {},
       {flags({2, 1}, {1, 0}), f32({2}, {1, 2}), f32({}, {9})},
       {f32({2, 2}, {1, 2, 9, 9})}},
      {"integers", "Where", 11, {}, {flags({2}, {1, 0}), i64({2}, {1, 2}), i64({2}, {3, 4})}, {i64({2}, {1, 4})}},
  };
}

}  // namespace

std::vector<OperatorCase> elementwise_cases() {
  Cases all = unary_cases();
  const Cases more = binary_cases();
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace bitplan::test
