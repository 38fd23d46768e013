#include <cmath>

#include "tests/model/operator_cases.hpp"

namespace bitplan::test {
namespace {

using Cases = std::vector<OperatorCase>;
const Attribute kOne = std::int64_t{1};

Cases pooling_cases() {
  const Tensor x = ramp({1, 1, 3, 3});
  const Tensor line = f32({1, 1, 4}, {1, 2, 3, 4});
  return {
      {"windows of 2", "MaxPool", 11, {{"kernel_shape", Ints{2, 2}}}, {x}, {f32({1, 1, 2, 2}, {4, 5, 7, 8})}},
      {"padding never wins",
       "MaxPool",
       12,
       {{"kernel_shape", Ints{2}}, {"pads", Ints{1, 0}}},
       {f32({1, 1, 2}, {-3, -5})},
       {f32({1, 1, 2}, {-3, -3})}},
      {"floor and ceil of the last window",
       "MaxPool",
       12,
       {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}, {"ceil_mode", kOne}},
       {x},
       {f32({1, 1, 2, 2}, {4, 5, 7, 8})}},
      {"floor", "MaxPool", 12, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}, {x}, {f32({1, 1, 1, 1}, {4})}},
      {"dilations",
       "MaxPool",
       12,
       {{"kernel_shape", Ints{2, 2}}, {"dilations", Ints{2, 2}}},
       {x},
       {f32({1, 1, 1, 1}, {8})}},
      {"SAME_UPPER",
       "MaxPool",
       12,
       {{"kernel_shape", Ints{2}}, {"auto_pad", "SAME_UPPER"}},
       {line},
       {f32({1, 1, 4}, {2, 3, 4, 4})}},
      {"a window that would start in the padding is dropped",
       "MaxPool",
       12,
       {{"kernel_shape", Ints{1}}, {"strides", Ints{2}}, {"ceil_mode", kOne}, {"pads", Ints{0, 0}}},
       {f32({1, 1, 2}, {1, 2})},
       {f32({1, 1, 1}, {1})}},
      {"mean of what is inside",
       "AveragePool",
       11,
       {{"kernel_shape", Ints{2}}, {"pads", Ints{1, 1}}},
       {line},
       {f32({1, 1, 5}, {1, 1.5, 2.5, 3.5, 4})}},
      {"the padding counts",
       "AveragePool",
       11,
       {{"kernel_shape", Ints{2}}, {"pads", Ints{1, 1}}, {"count_include_pad", kOne}},
       {line},
       {f32({1, 1, 5}, {0.5, 1.5, 2.5, 3.5, 2})}},
      {"ceil_mode counts only declared padding",
       "AveragePool",
       19,
       {{"kernel_shape", Ints{3}}, {"strides", Ints{2}}, {"ceil_mode", kOne}, {"count_include_pad", kOne}},
       {line},
       {f32({1, 1, 2}, {2, 3.5})}},
      {"dilations since opset 19",
       "AveragePool",
       19,
       {{"kernel_shape", Ints{2}}, {"dilations", Ints{3}}},
       {line},
       {f32({1, 1, 1}, {2.5})}},
      {"each channel", "GlobalAveragePool", 11, {}, {ramp({1, 2, 1, 2})}, {f32({1, 2, 1, 1}, {0.5, 2.5})}},
      {"each channel", "GlobalMaxPool", 11, {}, {ramp({1, 2, 1, 2})}, {f32({1, 2, 1, 1}, {1, 3})}},
  };
}

Cases normalization_cases() {
  const float e = std::exp(1.0f);
  const auto log2 = static_cast<float>(std::log(2.0));
  return {
      {"each channel",
       "BatchNormalization",
       15,
       {{"epsilon", 0.0f}},
       {f32({1, 2, 1, 2}, {1, 2, 3, 4}), f32({2}, {2, 1}), f32({2}, {0, 10}), f32({2}, {1, 3}), f32({2}, {4, 1})},
       {f32({1, 2, 1, 2}, {0, 1, 10, 11})}},
      {"of a matrix",
       "BatchNormalization",
       13,
       {{"epsilon", 3.0f}},
       {f32({1, 1}, {5}), f32({1}, {4}), f32({1}, {1}), f32({1}, {3}), f32({1}, {1})},
       {f32({1, 1}, {5})}},
      {"in training mode by its own mean and variance",
       "BatchNormalization",
       14,
       {{"epsilon", 0.0f}, {"momentum", 0.5f}, {"training_mode", kOne}},
       {f32({1, 2, 2}, {1, 3, 2, 6}), f32({2}, {1, 2}), f32({2}, {0, 10}), f32({2}, {4, 0}), f32({2}, {3, 0})},
       {f32({1, 2, 2}, {-1, 1, 8, 12}), f32({2}, {3, 2}), f32({2}, {2, 2})}},
      {"five outputs are training mode before opset 14",
       "BatchNormalization",
       13,
       {{"epsilon", 0.0f}, {"momentum", 0.5f}},
       {f32({2, 1, 1}, {1, 3}), f32({1}, {1}), f32({1}, {0}), f32({1}, {4}), f32({1}, {3})},
       {f32({2, 1, 1}, {-1, 1}), f32({1}, {3}), f32({1}, {2}), f32({1}, {2}), f32({1}, {1})}},
      {"last axis",
       "LayerNormalization",
       17,
       {{"epsilon", 0.0f}},
       {f32({2, 2}, {1, 3, 10, 30}), f32({2}, {1, 2}), f32({2}, {0, 5})},
       {f32({2, 2}, {-1, 7, -1, 7})}},
      {"all axes from axis 0, no bias, scale broadcast",
       "LayerNormalization",
       17,
       {{"axis", std::int64_t{0}}, {"epsilon", 0.0f}},
       {f32({2, 2}, {1, 3, 1, 3}), f32({2}, {1, 2})},
       {f32({2, 2}, {-1, 2, -1, 2})}},
      {"one axis, default the last",
       "Softmax",
       13,
       {},
       {f32({2, 2}, {0, 0, 1, 1})},
       {f32({2, 2}, {0.5, 0.5, 0.5, 0.5})}},
      {"an inner axis",
       "Softmax",
       13,
       {{"axis", std::int64_t{0}}},
       {f32({2, 2}, {0, 1, 1, 1})},
       {f32({2, 2}, {1 / (1 + e), 0.5, e / (1 + e), 0.5})}},
      {"before opset 13 all axes from axis 1 on",
       "Softmax",
       11,
       {},
       {f32({1, 2, 2}, {5, 5, 5, 5})},
       {f32({1, 2, 2}, {0.25, 0.25, 0.25, 0.25})}},
      {"since opset 13 only that axis",
       "Softmax",
       13,
       {{"axis", std::int64_t{1}}},
       {f32({1, 2, 2}, {5, 5, 5, 5})},
       {f32({1, 2, 2}, {0.5, 0.5, 0.5, 0.5})}},
      {"large values do not overflow", "Softmax", 13, {}, {f32({2}, {1000, 1000})}, {f32({2}, {0.5, 0.5})}},
      {"logarithm", "LogSoftmax", 13, {}, {f32({2}, {3, 3})}, {f32({2}, {-log2, -log2})}},
      {"before opset 13",
       "LogSoftmax",
       11,
       {{"axis", std::int64_t{0}}},
       {f32({1, 2}, {3, 3})},
       {f32({1, 2}, {-log2, -log2})}},
  };
}

Cases resize_cases() {
  const Tensor x = f32({1, 1, 1, 2}, {1, 3});
  const std::optional<Tensor> none;
  const Tensor twice = f32({4}, {1, 1, 1, 2});
  return {
      {"nearest by scales", "Resize", 13, {}, {x, none, twice}, {f32({1, 1, 1, 4}, {1, 1, 3, 3})}},
      {"linear, half pixel centres",
       "Resize",
       13,
       {{"mode", "linear"}},
       {x, none, twice},
       {f32({1, 1, 1, 4}, {1, 1.5, 2.5, 3})}},
      {"linear, corners aligned, by sizes",
       "Resize",
       13,
       {{"mode", "linear"}, {"coordinate_transformation_mode", "align_corners"}},
       {x, none, none, i64({4}, {1, 1, 1, 3})},
       {f32({1, 1, 1, 3}, {1, 2, 3})}},
      {"asymmetric, rounded up",
       "Resize",
       13,
       {{"coordinate_transformation_mode", "asymmetric"}, {"nearest_mode", "ceil"}},
       {x, none, twice},
       {f32({1, 1, 1, 4}, {1, 3, 3, 3})}},
      {"axes since opset 18",
       "Resize",
       18,
       {{"axes", Ints{3}}},
       {x, none, f32({1}, {2})},
       {f32({1, 1, 1, 4}, {1, 1, 3, 3})}},
      {"opset 11 with empty roi and scales",
       "Resize",
       11,
       {},
       {x, f32({0}, {}), f32({0}, {}), i64({4}, {1, 1, 2, 2})},
       {f32({1, 1, 2, 2}, {1, 3, 1, 3})}},
  };
}

}  // namespace

std::vector<OperatorCase> pool_cases() {
  Cases all = pooling_cases();
  for (auto& more : {normalization_cases(), resize_cases()}) all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace bitplan::test
