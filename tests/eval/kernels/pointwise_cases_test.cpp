// Cases of element-wise operators, and their functions on every instruction set.
#include <cmath>

#include "eval/kernels/pointwise.hpp"
#include "tests/catch.hpp"
#include "tests/eval/kernel_cases.hpp"

namespace bitplan::test {
namespace {

/// Of positive values only.
Case of_positive(const std::string& op) {
  return {op, "positive", [=](Builder& b, TensorId x) { return b.op(op, {b.op("Exp", {x})}); }};
}
Case power(const std::string& what, float exponent) {
  return {"Pow", what, [=](Builder& b, TensorId x) {
            return b.op("Pow", {b.op("Exp", {x}), b.constant(scalar(exponent))});
          }};
}
/// A comparison as zeros and ones, so that what follows is a float.
Case compared(const std::string& op, const Shape& other) {
  return {op, "floats", [=](Builder& b, TensorId x) {
            return b.op("Where", {b.op(op, {x, b.random(other)}), x, b.random({1, 1, 1, 7})});
          }};
}
Case both(const std::string& op, const std::string& what, const Shape& other) {
  return {op, what, [=](Builder& b, TensorId x) { return b.op(op, {x, b.random(other)}); }};
}

}  // namespace

std::vector<Case> pointwise_cases() {
  return {
      unary("Erf"),
      unary("Exp"),
      unary("Neg"),
      unary("Abs"),
      unary("Floor"),
      unary("Ceil"),
      unary("Round"),
      unary("Sign"),
      unary("Sin"),
      unary("Cos"),
      unary("Softplus"),
      unary("Softsign"),
      unary("Mish"),
      unary("Selu"),
      unary("Gelu"),
      unary("Gelu", {{"approximate", std::string("tanh")}}),
      of_positive("Sqrt"),
      of_positive("Reciprocal"),
      of_positive("Log"),
      power("square", 2),
      power("cube", 3),
      power("root", 0.5F),
      power("inverse root", -0.5F),
      power("inverse", -1),
      power("any", 1.7F),
      {"Pow", "computed exponent",
       [](Builder& b, TensorId x) {
         return b.op("Pow", {b.op("Exp", {x}), b.op("Tanh", {x})});
       }},
      both("Min", "per channel", {20, 1, 1}),
      both("Max", "last axis", {7}),
      both("PRelu", "per channel", {20, 1, 1}),
      {"Max", "the first operand is broadcast",
       [](Builder& b, TensorId x) {
         return b.op("Max", {b.random({9, 1}), x});
       }},
      {"Max", "a transposed operand",
       [](Builder& b, TensorId x) {
         return b.op("Max", {b.op("Transpose", {x}, {{"perm", Ints{0, 1, 3, 2}}}), b.random({1, 20, 7, 1})});
       }},
      compared("Equal", {2, 20, 9, 7}),
      compared("Less", {7}),
      compared("Greater", {20, 1, 1}),
      compared("LessOrEqual", {1}),
      compared("GreaterOrEqual", {2, 20, 9, 7}),
      {"Where", "constant condition, one value",
       [](Builder& b, TensorId x) {
         Tensor condition(DType::boolean, {9, 7});
         for (std::size_t i = 0; i < 63; i += 2) condition.writable<bool>()[i] = true;
         return b.op("Where", {b.constant(condition), x, b.constant(scalar(-5))});
       }},
      {"Where", "all three are broadcast",
       [](Builder& b, TensorId x) {
         const TensorId flags = b.op("Less", {b.op("ReduceMean", {x}, {{"axes", Ints{2}}}), b.constant(scalar(0))});
         return b.op("Where", {flags, b.op("ReduceMean", {x}, {{"axes", Ints{3}}}), x});
       }},
      {"Less", "integers",
       [](Builder& b, TensorId x) {
         const TensorId n = b.op("Cast", {x}, {{"to", std::int64_t{7}}});
         return b.op("Where", {b.op("Less", {n, b.integers({1})}), x, b.constant(scalar(2))});
       }},
  };
}

TEST_CASE("element-wise functions equal the standard library's on every instruction set and length") {
  using Function = double (*)(double);
  const std::vector<std::pair<std::string, Function>> functions{{"Erf", [](double v) { return std::erf(v); }},
                                                                {"Exp", [](double v) { return std::exp(v); }}};
  for (const auto& [op, function] : functions)
    for (const Isa isa : usable_isas())
      for (const std::size_t n : {1, 3, 8, 15, 16, 17, 33, 4000}) {
        std::vector<float> x(n), y(n);
        for (std::size_t i = 0; i < n; ++i) x[i] = -90.0F + 180.0F * static_cast<float>(i) / static_cast<float>(n);
        if (n > 100) x[7] = 0, x[8] = -0.0F, x[9] = 1e-30F, x[10] = 0.3F, x[11] = -3.9F;
        find_unary(op)->run[static_cast<std::size_t>(isa)](x.data(), y.data(), n, 0, 0);
        double worst = 0;
        for (std::size_t i = 0; i < n; ++i) {
          const double exact = function(static_cast<double>(x[i]));
          if (exact > 3.4e38) {
            CHECK(std::isinf(y[i]));
          } else if (std::abs(exact) < 1.3e-38) {  // subnormal, or as good as that
            CHECK(std::abs(static_cast<double>(y[i]) - exact) < 1.3e-38);
          } else {
            worst = std::max(worst, std::abs(static_cast<double>(y[i]) - exact) / std::abs(exact));
          }
        }
        CAPTURE(op, n, static_cast<int>(isa));
        CHECK(worst < 5e-7);
      }
}

TEST_CASE("element-wise functions keep NaN and map infinities to their limits") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const Isa isa : usable_isas()) {
    const std::vector<float> x{std::nanf(""), kInfinity, -kInfinity};
    std::vector<float> y(3);
    find_unary("Exp")->run[static_cast<std::size_t>(isa)](x.data(), y.data(), 3, 0, 0);
    CHECK(std::isnan(y[0]));
    CHECK(y[1] == kInfinity);
    CHECK(y[2] == 0);
    find_unary("Erf")->run[static_cast<std::size_t>(isa)](x.data(), y.data(), 3, 0, 0);
    CHECK(std::isnan(y[0]));
    CHECK(y[1] == 1);
    CHECK(y[2] == -1);
  }
}

}  // namespace bitplan::test
