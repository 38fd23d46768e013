#include <limits>

#include "tests/model/operator_cases.hpp"

namespace bitplan::test {
namespace {

using Cases = std::vector<OperatorCase>;
const std::optional<Tensor> kNone;
constexpr std::int64_t kFar = std::numeric_limits<std::int64_t>::max();

Cases reshaping_cases() {
  const Tensor x = ramp({2, 3});
  const auto to = [&](Shape shape) { return ramp(std::move(shape)); };
  return {
      {"-1 takes the rest", "Reshape", 13, {}, {x, i64({2}, {-1, 2})}, {to({3, 2})}},
      {"0 copies the dimension", "Reshape", 14, {}, {x, i64({3}, {0, 1, -1})}, {to({2, 1, 3})}},
      {"allowzero",
       "Reshape",
       14,
       {{"allowzero", std::int64_t{1}}},
       {f32({0, 3}, {}), i64({2}, {3, 0})},
       {f32({3, 0}, {})}},
      {"to a scalar", "Reshape", 14, {}, {f32({1}, {7}), i64({0}, {})}, {f32({}, {7})}},
      {"axis 1", "Flatten", 11, {}, {ramp({2, 3, 2})}, {to({2, 6})}},
      {"axis 0 and negative", "Flatten", 13, {{"axis", std::int64_t{-1}}}, {ramp({2, 3, 2})}, {to({6, 2})}},
      {"axis as long as the rank", "Flatten", 13, {{"axis", std::int64_t{2}}}, {x}, {to({6, 1})}},
      {"axes as attribute", "Squeeze", 11, {{"axes", Ints{0, -1}}}, {ramp({1, 2, 1})}, {to({2})}},
      {"axes as input since opset 13", "Squeeze", 13, {}, {ramp({1, 2, 1}), i64({1}, {2})}, {to({1, 2})}},
      {"all of size 1", "Squeeze", 13, {}, {ramp({1, 2, 1})}, {to({2})}},
      {"axes as attribute", "Unsqueeze", 11, {{"axes", Ints{0, 3}}}, {x}, {to({1, 2, 3, 1})}},
      {"axes as input since opset 13", "Unsqueeze", 13, {}, {x, i64({1}, {-1})}, {to({2, 3, 1})}},
      {"all around", "Transpose", 13, {}, {x}, {f32({3, 2}, {0, 3, 1, 4, 2, 5})}},
      {"by perm", "Transpose", 13, {{"perm", Ints{1, 0, 2}}}, {ramp({2, 1, 2})}, {f32({1, 2, 2}, {0, 1, 2, 3})}},
      {"any type", "Transpose", 13, {}, {flags({1, 2}, {1, 0})}, {flags({2, 1}, {1, 0})}},
      {"along a new shape",
       "Expand",
       13,
       {},
       {f32({2, 1}, {1, 2}), i64({3}, {2, 1, 2})},
       {f32({2, 2, 2}, {1, 1, 2, 2, 1, 1, 2, 2})}},
      {"a smaller shape changes nothing", "Expand", 13, {}, {x, i64({1}, {1})}, {x}},
      {"both axes", "Tile", 13, {}, {f32({1, 2}, {1, 2}), i64({2}, {2, 2})}, {f32({2, 4}, {1, 2, 1, 2, 1, 2, 1, 2})}},
      {"zero times", "Tile", 13, {}, {f32({2}, {1, 2}), i64({1}, {0})}, {f32({0}, {})}},
  };
}

Cases joining_cases() {
  const Tensor x = ramp({2, 3}), line = f32({3}, {1, 2, 3});
  return {
      {"inner axis",
       "Concat",
       13,
       {{"axis", std::int64_t{-1}}},
       {f32({2, 1}, {1, 2}), f32({2, 2}, {3, 4, 5, 6})},
       {f32({2, 3}, {1, 3, 4, 2, 5, 6})}},
      {"outer axis, integers",
       "Concat",
       11,
       {{"axis", std::int64_t{0}}},
       {i64({1}, {1}), i64({0}, {}), i64({2}, {2, 3})},
       {i64({3}, {1, 2, 3})}},
      {"equal parts",
       "Split",
       13,
       {{"axis", std::int64_t{1}}},
       {ramp({1, 4})},
       {f32({1, 2}, {0, 1}), f32({1, 2}, {2, 3})}},
      {"sizes as attribute", "Split", 11, {{"split", Ints{1, 2}}}, {line}, {f32({1}, {1}), f32({2}, {2, 3})}},
      {"sizes as input since opset 13", "Split", 13, {}, {line, i64({2}, {2, 1})}, {f32({2}, {1, 2}), f32({1}, {3})}},
      {"num_outputs since opset 18, the last part smaller",
       "Split",
       18,
       {{"num_outputs", std::int64_t{2}}},
       {line},
       {f32({2}, {1, 2}), f32({1}, {3})}},
      {"constant", "Pad", 13, {}, {line, i64({2}, {1, 2}), f32({}, {9})}, {f32({6}, {9, 1, 2, 3, 9, 9})}},
      {"constant 0 by default, two axes",
       "Pad",
       11,
       {},
       {f32({1, 2}, {1, 2}), i64({4}, {0, 1, 1, 0})},
       {f32({2, 3}, {0, 1, 2, 0, 0, 0})}},
      {"reflect", "Pad", 13, {{"mode", "reflect"}}, {line, i64({2}, {2, 1})}, {f32({6}, {3, 2, 1, 2, 3, 2})}},
      {"edge", "Pad", 13, {{"mode", "edge"}}, {line, i64({2}, {2, 1})}, {f32({6}, {1, 1, 1, 2, 3, 3})}},
      {"wrap since opset 19", "Pad", 19, {{"mode", "wrap"}}, {line, i64({2}, {1, 1})}, {f32({5}, {3, 1, 2, 3, 1})}},
      {"negative pads cut", "Pad", 13, {}, {line, i64({2}, {-1, 1})}, {f32({3}, {2, 3, 0})}},
      {"axes since opset 18",
       "Pad",
       18,
       {},
       {f32({1, 2}, {1, 2}), i64({2}, {0, 1}), kNone, i64({1}, {-1})},
       {f32({1, 3}, {1, 2, 0})}},
      {"starts and ends", "Slice", 13, {}, {x, i64({2}, {0, 1}), i64({2}, {1, 3})}, {f32({1, 2}, {1, 2})}},
      {"axes and steps",
       "Slice",
       11,
       {},
       {x, i64({1}, {0}), i64({1}, {kFar}), i64({1}, {1}), i64({1}, {2})},
       {f32({2, 2}, {0, 2, 3, 5})}},
      {"backwards through the first",
       "Slice",
       13,
       {},
       {line, i64({1}, {-1}), i64({1}, {-kFar}), i64({1}, {0}), i64({1}, {-1})},
       {f32({3}, {3, 2, 1})}},
      {"backwards by two",
       "Slice",
       13,
       {},
       {line, i64({1}, {kFar}), i64({1}, {0}), i64({1}, {0}), i64({1}, {-2})},
       {f32({1}, {3})}},
      {"negative values count from the end", "Slice", 13, {}, {line, i64({1}, {-2}), i64({1}, {-1})}, {f32({1}, {2})}},
      {"nothing left", "Slice", 13, {}, {line, i64({1}, {2}), i64({1}, {1})}, {f32({0}, {})}},
  };
}

}  // namespace

std::vector<OperatorCase> view_cases() {
  Cases all = reshaping_cases();
  const Cases more = joining_cases();
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace bitplan::test
