#include "tests/model/operator_cases.hpp"

namespace bitplan::test {

std::vector<OperatorCase> reduce_cases() {
  const Tensor x = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  const Attribute zero = std::int64_t{0}, one = std::int64_t{1};
  return {
      {"axes as attribute", "ReduceMean", 13, {{"axes", Ints{1}}}, {x}, {f32({2, 1}, {2, 5})}},
      {"axes as input since opset 18", "ReduceMean", 18, {}, {x, i64({1}, {-1})}, {f32({2, 1}, {2, 5})}},
      {"axes dropped", "ReduceMean", 18, {{"keepdims", zero}}, {x, i64({1}, {0})}, {f32({3}, {2.5, 3.5, 4.5})}},
      {"no axes: all of them", "ReduceMean", 18, {}, {x}, {f32({1, 1}, {3.5})}},
      {"no axes and noop", "ReduceMean", 18, {{"noop_with_empty_axes", one}}, {x}, {x}},
      {"axes as input since opset 13", "ReduceSum", 13, {{"keepdims", zero}}, {x, i64({1}, {1})}, {f32({2}, {6, 15})}},
      {"axes as attribute before",
       "ReduceSum",
       11,
       {{"keepdims", zero}, {"axes", Ints{-2}}},
       {x},
       {f32({3}, {5, 7, 9})}},
      {"integers", "ReduceSum", 13, {{"keepdims", zero}}, {i64({3}, {1, 2, -5})}, {i64({}, {-2})}},
      {"two axes of three",
       "ReduceSum",
       13,
       {{"keepdims", zero}},
       {ramp({2, 2, 2}), i64({2}, {0, 2})},
       {f32({2}, {10, 18})}},
      {"an empty axis", "ReduceSum", 13, {{"keepdims", zero}}, {f32({2, 0}, {}), i64({1}, {1})}, {f32({2}, {0, 0})}},
      {"rows", "ReduceMax", 13, {{"axes", Ints{1}}, {"keepdims", zero}}, {x}, {f32({2}, {3, 6})}},
      {"negative integers", "ReduceMax", 18, {{"keepdims", zero}}, {i64({3}, {-7, -3, -9})}, {i64({}, {-3})}},
      {"columns", "ReduceMin", 13, {{"axes", Ints{0}}, {"keepdims", zero}}, {x}, {f32({3}, {1, 2, 3})}},
      {"rows", "ReduceProd", 18, {{"keepdims", zero}}, {x, i64({1}, {1})}, {f32({2}, {6, 120})}},
      {"integers", "ReduceProd", 13, {{"keepdims", zero}}, {i64({3}, {2, 3, 4})}, {i64({}, {24})}},
      {"length of a vector", "ReduceL2", 18, {{"keepdims", zero}}, {f32({2}, {3, -4})}, {f32({}, {5})}},
      {"forwards", "CumSum", 14, {}, {f32({2, 2}, {1, 2, 3, 4}), i64({}, {1})}, {f32({2, 2}, {1, 3, 3, 7})}},
      {"exclusive and reverse",
       "CumSum",
       14,
       {{"exclusive", one}, {"reverse", one}},
       {i64({3}, {1, 2, 3}), i32({}, {0})},
       {i64({3}, {5, 3, 0})}},
      {"an outer axis", "CumSum", 11, {}, {f32({2, 2}, {1, 2, 3, 4}), i64({1}, {0})}, {f32({2, 2}, {1, 2, 4, 6})}},
      {"upper", "Trilu", 14, {}, {f32({2, 2}, {1, 2, 3, 4})}, {f32({2, 2}, {1, 2, 0, 4})}},
      {"lower, shifted, in a stack",
       "Trilu",
       14,
       {{"upper", zero}},
       {f32({1, 2, 3}, {1, 2, 3, 4, 5, 6}), i64({}, {1})},
       {f32({1, 2, 3}, {1, 2, 0, 4, 5, 6})}},
  };
}

}  // namespace bitplan::test
