#include "tests/model/operator_cases.hpp"

namespace bitplan::test {

std::vector<OperatorCase> index_cases() {
  const Tensor table = f32({3, 2}, {0, 1, 10, 11, 20, 21});
  const auto number = [](std::int64_t n) { return Attribute(n); };
  return {
      {"rows", "Gather", 13, {}, {table, i64({2}, {2, -3})}, {f32({2, 2}, {20, 21, 0, 1})}},
      {"columns by a scalar", "Gather", 11, {{"axis", number(1)}}, {table, i64({}, {1})}, {f32({3}, {1, 11, 21})}},
      {"a matrix of indices", "Gather", 13, {}, {i64({2}, {5, 6}), i32({1, 2}, {1, 0})}, {i64({1, 2}, {6, 5})}},
      {"one index for each element",
       "GatherElements",
       13,
       {{"axis", number(1)}},
       {table, i64({3, 1}, {1, 0, -1})},
       {f32({3, 1}, {1, 10, 21})}},
      {"rows of indices", "GatherND", 13, {}, {table, i64({2, 2}, {0, 1, 2, 0})}, {f32({2}, {1, 20})}},
      {"slices", "GatherND", 13, {}, {table, i64({1, 1}, {-1})}, {f32({1, 2}, {20, 21})}},
      {"batch_dims",
       "GatherND",
       13,
       {{"batch_dims", number(1)}},
       {f32({2, 2}, {1, 2, 3, 4}), i64({2, 1}, {1, 0})},
       {f32({2}, {2, 3})}},
      {"all axes", "Shape", 13, {}, {table}, {i64({2}, {3, 2})}},
      {"start and end since opset 15",
       "Shape",
       15,
       {{"start", number(-1)}, {"end", number(5)}},
       {table},
       {i64({1}, {2})}},
      {"elements", "Size", 13, {}, {table}, {i64({}, {6})}},
      {"a tensor", "Constant", 13, {{"value", f32({2}, {1, 2})}}, {}, {f32({2}, {1, 2})}},
      {"a float", "Constant", 13, {{"value_float", 2.5f}}, {}, {f32({}, {2.5})}},
      {"integers", "Constant", 13, {{"value_ints", Ints{4, 5}}}, {}, {i64({2}, {4, 5})}},
      {"zeros by default", "ConstantOfShape", 11, {}, {i64({2}, {1, 2})}, {f32({1, 2}, {0, 0})}},
      {"a value of another type",
       "ConstantOfShape",
       11,
       {{"value", i64({1}, {7})}},
       {i64({1}, {2})},
       {i64({2}, {7, 7})}},
      {"upwards", "Range", 11, {}, {i64({}, {1}), i64({}, {6}), i64({}, {2})}, {i64({3}, {1, 3, 5})}},
      {"downwards", "Range", 11, {}, {f32({}, {1}), f32({}, {0}), f32({}, {-0.5})}, {f32({2}, {1, 0.5})}},
      {"empty", "Range", 11, {}, {i64({}, {5}), i64({}, {5}), i64({}, {1})}, {i64({0}, {})}},
      {"float to integer truncates", "Cast", 13, {{"to", number(7)}}, {f32({2}, {-1.7f, 1.7f})}, {i64({2}, {-1, 1})}},
      {"to bool", "Cast", 13, {{"to", number(9)}}, {f32({2}, {0, -3})}, {flags({2}, {0, 1})}},
      {"half precision stays float32", "Cast", 13, {{"to", number(10)}}, {i32({1}, {3})}, {f32({1}, {3})}},
  };
}

}  // namespace bitplan::test
