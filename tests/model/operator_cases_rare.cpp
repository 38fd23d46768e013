#include <cmath>

#include "tests/model/operator_cases.hpp"

namespace bitplan::test {
namespace {

Tensor u8(Shape shape, std::vector<std::uint8_t> values) { return Tensor::of<std::uint8_t>(std::move(shape), values); }
Attribute number(std::int64_t n) { return n; }

std::vector<OperatorCase> function_cases() {
  return {
      {"three values", "Tan", 18, {}, {f32({3}, {-0.5f, 0, 0.25f})}, {f32({3}, {-0.54630249f, 0, 0.255341921f})}},
      {"three values", "Asin", 18, {}, {f32({3}, {-0.5f, 0, 0.25f})}, {f32({3}, {-0.523598776f, 0, 0.252680255f})}},
      {"three values",
       "Acos",
       18,
       {},
       {f32({3}, {-0.5f, 0, 0.25f})},
       {f32({3}, {2.0943951f, 1.57079633f, 1.31811607f})}},
      {"three values", "Atan", 18, {}, {f32({3}, {-1.5f, 0, 0.5f})}, {f32({3}, {-0.982793723f, 0, 0.463647609f})}},
      {"three values", "Sinh", 18, {}, {f32({3}, {-1.5f, 0, 0.5f})}, {f32({3}, {-2.12927946f, 0, 0.521095305f})}},
      {"three values", "Cosh", 18, {}, {f32({3}, {-1.5f, 0, 0.5f})}, {f32({3}, {2.35240962f, 1, 1.12762597f})}},
      {"three values", "Asinh", 18, {}, {f32({3}, {-1.5f, 0, 0.5f})}, {f32({3}, {-1.19476322f, 0, 0.481211825f})}},
      {"three values", "Acosh", 18, {}, {f32({3}, {1, 1.5f, 3})}, {f32({3}, {0, 0.96242365f, 1.76274717f})}},
      {"three values", "Atanh", 18, {}, {f32({3}, {-0.5f, 0, 0.25f})}, {f32({3}, {-0.549306144f, 0, 0.255412812f})}},
      {"three values", "Softsign", 18, {}, {f32({3}, {-1.5f, 0, 0.5f})}, {f32({3}, {-0.6f, 0, 0.333333333f})}},
      {"three values", "Mish", 18, {}, {f32({3}, {-1.5f, 0, 0.5f})}, {f32({3}, {-0.298099742f, 0, 0.375245211f})}},
      {"three values", "Selu", 18, {}, {f32({3}, {-1.5f, 0, 0.5f})}, {f32({3}, {-1.36581436f, 0, 0.525350511f})}},
      {"three values", "Celu", 18, {}, {f32({3}, {-1.5f, 0, 0.5f})}, {f32({3}, {-0.77686984f, 0, 0.5f})}},
      {"above alpha", "ThresholdedRelu", 11, {{"alpha", 1.0f}}, {f32({3}, {1, 1.5f, -2})}, {f32({3}, {0, 1.5f, 0})}},
      {"towards zero",
       "Shrink",
       11,
       {{"lambd", 1.0f}, {"bias", 0.5f}},
       {f32({3}, {-2, 1, 3})},
       {f32({3}, {-1.5f, 0, 2.5f})}},
      {"of floats", "IsNaN", 13, {}, {f32({2}, {NAN, 1})}, {flags({2}, {1, 0})}},
      {"only positive",
       "IsInf",
       11,
       {{"detect_negative", number(0)}},
       {f32({3}, {INFINITY, -INFINITY, 1})},
       {flags({3}, {1, 0, 0})}},
      {"blocks that overlap are added",
       "Col2Im",
       18,
       {},
       {f32({1, 2, 2}, {1, 2, 10, 20}), i64({1}, {3}), i64({1}, {2})},
       {f32({1, 1, 3}, {1, 12, 20})}},
      {"padding is dropped, dilations and strides move",
       "Col2Im",
       18,
       {{"pads", Ints{0, 1, 0, 0}}, {"strides", Ints{1, 2}}, {"dilations", Ints{1, 2}}},
       {f32({1, 4, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}), i64({2}, {3, 4}), i64({2}, {2, 2})},
       {f32({1, 1, 3, 4}, {0, 7, 0, 6, 0, 34, 0, 22, 0, 27, 0, 16})}},
      {"bits", "BitwiseAnd", 18, {}, {i32({2}, {6, -1}), i32({1}, {3})}, {i32({2}, {2, 3})}},
      {"bits", "BitwiseOr", 18, {}, {i32({2}, {6, 8}), i32({1}, {3})}, {i32({2}, {7, 11})}},
      {"bits", "BitwiseXor", 18, {}, {i32({2}, {6, 8}), i32({1}, {3})}, {i32({2}, {5, 11})}},
      {"bits", "BitwiseNot", 18, {}, {i32({2}, {0, 5})}, {i32({2}, {-1, -6})}},
      {"left, beyond the width gives 0",
       "BitShift",
       11,
       {{"direction", "LEFT"}},
       {u8({3}, {1, 200, 1}), u8({3}, {3, 1, 9})},
       {u8({3}, {8, 144, 0})}},
      {"like the second", "CastLike", 15, {}, {f32({2}, {1.5f, -2}), i64({1}, {0})}, {i64({2}, {1, -2})}},
      {"broadcast", "Sum", 13, {}, {f32({2}, {1, 2}), f32({1}, {10}), f32({2}, {100, 200})}, {f32({2}, {111, 212})}},
      {"broadcast", "Mean", 13, {}, {f32({2}, {1, 2}), f32({1}, {4})}, {f32({2}, {2.5f, 3})}},
  };
}

std::vector<OperatorCase> choice_cases() {
  const Tensor table = f32({2, 3}, {3, 1, 3, 0, 5, -1});
  return {
      {"the first of equals", "ArgMax", 13, {{"axis", number(1)}}, {table}, {i64({2, 1}, {0, 1})}},
      {"the last of equals, axis dropped",
       "ArgMax",
       13,
       {{"axis", number(-1)}, {"keepdims", number(0)}, {"select_last_index", number(1)}},
       {table},
       {i64({2}, {2, 1})}},
      {"along columns", "ArgMin", 11, {}, {table}, {i64({1, 3}, {1, 0, 1})}},
      {"largest first, equals by index",
       "TopK",
       11,
       {},
       {table, i64({1}, {2})},
       {f32({2, 2}, {3, 3, 5, 0}), i64({2, 2}, {0, 2, 1, 0})}},
      {"smallest along axis 0",
       "TopK",
       11,
       {{"axis", number(0)}, {"largest", number(0)}},
       {table, i64({1}, {1})},
       {f32({1, 3}, {0, 1, -1}), i64({1, 3}, {1, 0, 1})}},
      {"the first largest", "Hardmax", 13, {}, {table}, {f32({2, 3}, {1, 0, 0, 0, 1, 0})}},
      {"negative and outside",
       "OneHot",
       11,
       {},
       {i64({3}, {1, -1, 7}), i64({}, {3}), f32({2}, {0, 9})},
       {f32({3, 3}, {0, 9, 0, 0, 0, 9, 0, 0, 0})}},
      {"above the diagonal",
       "EyeLike",
       11,
       {{"k", number(1)}, {"dtype", number(7)}},
       {table},
       {i64({2, 3}, {0, 1, 0, 0, 0, 1})}},
      {"columns of indices", "NonZero", 13, {}, {table}, {i64({2, 5}, {0, 0, 0, 1, 1, 0, 1, 2, 1, 2})}},
      {"prefixes turned",
       "ReverseSequence",
       11,
       {{"batch_axis", number(0)}, {"time_axis", number(1)}},
       {table, i64({2}, {2, 3})},
       {f32({2, 3}, {1, 3, 3, -1, 5, 0})}},
  };
}

std::vector<OperatorCase> place_cases() {
  const Tensor zeros = f32({2, 2}, {0, 0, 1, 1}), depth = ramp({1, 4, 1, 2});
  return {
      {"elements",
       "ScatterElements",
       13,
       {{"axis", number(1)}},
       {zeros, i64({2, 1}, {1, -2}), f32({2, 1}, {7, 8})},
       {f32({2, 2}, {0, 7, 8, 1})}},
      {"elements added twice",
       "ScatterElements",
       16,
       {{"reduction", "add"}},
       {zeros, i64({2, 2}, {1, 1, 1, 1}), f32({2, 2}, {1, 2, 3, 4})},
       {f32({2, 2}, {0, 0, 5, 7})}},
      {"rows", "ScatterND", 13, {}, {zeros, i64({1, 1}, {1}), f32({1, 2}, {7, 8})}, {f32({2, 2}, {0, 0, 7, 8})}},
      {"greatest",
       "ScatterND",
       18,
       {{"reduction", "max"}},
       {zeros, i64({2, 2}, {0, 0, 1, 1}), f32({2}, {-3, 3})},
       {f32({2, 2}, {0, 0, 1, 3})}},
      {"depth first",
       "DepthToSpace",
       13,
       {{"blocksize", number(2)}},
       {depth},
       {f32({1, 1, 2, 4}, {0, 2, 1, 3, 4, 6, 5, 7})}},
      {"channel first",
       "DepthToSpace",
       13,
       {{"blocksize", number(2)}, {"mode", "CRD"}},
       {ramp({1, 8, 1, 1})},
       {f32({1, 2, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7})}},
      {"back", "SpaceToDepth", 13, {{"blocksize", number(2)}}, {f32({1, 1, 2, 4}, {0, 2, 1, 3, 4, 6, 5, 7})}, {depth}},
  };
}

std::vector<OperatorCase> rare_reduce_cases() {
  const Tensor x = f32({2, 2}, {1, 2, 3, 4}), line = f32({1, 1, 4}, {1, -2, 3, 4});
  return {
      {"of rows",
       "ReduceL1",
       13,
       {{"axes", Ints{1}}, {"keepdims", number(0)}},
       {f32({2, 2}, {1, -2, 3, 4})},
       {f32({2}, {3, 7})}},
      {"of rows", "ReduceSumSquare", 18, {{"keepdims", number(0)}}, {x, i64({1}, {-1})}, {f32({2}, {5, 25})}},
      {"of rows",
       "ReduceLogSum",
       18,
       {{"keepdims", number(0)}},
       {x, i64({1}, {1})},
       {f32({2}, {1.09861229f, 1.94591015f})}},
      {"of rows",
       "ReduceLogSumExp",
       18,
       {{"keepdims", number(0)}},
       {x, i64({1}, {1})},
       {f32({2}, {2.31326169f, 4.31326169f})}},
      {"large values do not overflow",
       "ReduceLogSumExp",
       18,
       {{"keepdims", number(0)}},
       {f32({2}, {10000, 10000})},
       {f32({}, {10000.6931f})}},
      {"windows",
       "LpPool",
       18,
       {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}, {"p", number(1)}},
       {line},
       {f32({1, 1, 2}, {3, 7})}},
      {"all", "GlobalLpPool", 11, {{"p", number(1)}}, {line}, {f32({1, 1, 1}, {10})}},
      {"with indices",
       "MaxPool",
       12,
       {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}},
       {line},
       {f32({1, 1, 2}, {1, 4}), i64({1, 1, 2}, {0, 3})}},
      {"empty: the identity", "ReduceMax", 20, {{"keepdims", number(0)}}, {f32({0}, {})}, {f32({}, {-INFINITY})}},
      {"bool since opset 20", "ReduceMax", 20, {{"keepdims", number(0)}}, {flags({2}, {0, 1})}, {flags({}, {1})}},
  };
}

}  // namespace

std::vector<OperatorCase> rare_cases() {
  std::vector<OperatorCase> all;
  for (const auto& part : {function_cases(), choice_cases(), place_cases(), rare_reduce_cases()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace bitplan::test
