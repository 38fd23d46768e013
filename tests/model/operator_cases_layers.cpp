#include "tests/model/operator_cases.hpp"

namespace bitplan::test {
namespace {

using Cases = std::vector<OperatorCase>;

// 1 … 9 as a 3x3 image, and a 2x2 kernel of ones.
const Tensor kImage = f32({1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
const Tensor kOnes = f32({1, 1, 2, 2}, {1, 1, 1, 1});

Cases conv_cases() {
  return {
      {"no padding", "Conv", 11, {}, {kImage, kOnes}, {f32({1, 1, 2, 2}, {12, 16, 24, 28})}},
      {"bias", "Conv", 11, {}, {kImage, kOnes, f32({1}, {-2})}, {f32({1, 1, 2, 2}, {10, 14, 22, 26})}},
      {"pads before and after differ",
       "Conv",
       11,
       {{"pads", Ints{1, 0, 0, 1}}},
       {kImage, kOnes},
       {f32({1, 1, 3, 3}, {3, 5, 3, 12, 16, 9, 24, 28, 15})}},
      {"strides",
       "Conv",
       11,
       {{"strides", Ints{2, 1}}, {"pads", Ints{1, 0, 0, 0}}},
       {kImage, kOnes},
       {f32({1, 1, 2, 2}, {3, 5, 24, 28})}},
      {"dilations", "Conv", 11, {{"dilations", Ints{2, 2}}}, {kImage, kOnes}, {f32({1, 1, 1, 1}, {20})}},
      {"SAME_UPPER pads behind",
       "Conv",
       11,
       {{"auto_pad", "SAME_UPPER"}},
       {kImage, kOnes},
       {f32({1, 1, 3, 3}, {12, 16, 9, 24, 28, 15, 15, 17, 9})}},
      {"SAME_LOWER pads before",
       "Conv",
       11,
       {{"auto_pad", "SAME_LOWER"}},
       {kImage, kOnes},
       {f32({1, 1, 3, 3}, {1, 3, 5, 5, 12, 16, 11, 24, 28})}},
      {"VALID ignores pads",
       "Conv",
       11,
       {{"auto_pad", "VALID"}},
       {kImage, kOnes},
       {f32({1, 1, 2, 2}, {12, 16, 24, 28})}},
      {"SAME_UPPER with stride",
       "Conv",
       11,
       {{"auto_pad", "SAME_UPPER"}, {"strides", Ints{2, 2}}},
       {kImage, kOnes},
       {f32({1, 1, 2, 2}, {12, 9, 15, 9})}},
      {"depthwise",
       "Conv",
       11,
       {{"group", std::int64_t{2}}},
       {f32({1, 2, 1, 2}, {1, 2, 3, 4}), f32({2, 1, 1, 2}, {1, 1, 10, 1})},
       {f32({1, 2, 1, 1}, {3, 34})}},
      {"two groups of two channels",
       "Conv",
       11,
       {{"group", std::int64_t{2}}},
       {f32({1, 4, 1, 1}, {1, 2, 3, 4}), f32({2, 2, 1, 1}, {1, 10, 100, 1000})},
       {f32({1, 2, 1, 1}, {21, 4300})}},
      {"two samples, two outputs",
       "Conv",
       11,
       {},
       {f32({2, 1, 1, 1}, {2, 3}), f32({2, 1, 1, 1}, {1, 10})},
       {f32({2, 2, 1, 1}, {2, 20, 3, 30})}},
      {"one spatial axis",
       "Conv",
       11,
       {{"pads", Ints{1, 1}}},
       {f32({1, 1, 3}, {1, 2, 3}), f32({1, 1, 3}, {1, 0, -1})},
       {f32({1, 1, 3}, {-2, -2, 2})}},
      {"three spatial axes",
       "Conv",
       11,
       {},
       {ramp({1, 1, 2, 2, 2}), f32({1, 1, 2, 2, 2}, {1, 1, 1, 1, 1, 1, 1, 1})},
       {f32({1, 1, 1, 1, 1}, {28})}},
      {"a kernel wider than the input, all in the padding but one column",
       "Conv",
       11,
       {{"pads", Ints{0, 2, 0, 2}}},
       {f32({1, 1, 1, 1}, {3}), f32({1, 1, 1, 5}, {1, 2, 3, 4, 5})},
       {f32({1, 1, 1, 1}, {9})}},
  };
}

Cases conv_transpose_cases() {
  const Tensor x = f32({1, 1, 2, 2}, {1, 2, 3, 4});
  return {
      {"stride 1", "ConvTranspose", 11, {}, {x, kOnes}, {f32({1, 1, 3, 3}, {1, 3, 2, 4, 10, 6, 3, 7, 4})}},
      {"stride 2 and bias",
       "ConvTranspose",
       11,
       {{"strides", Ints{2, 2}}},
       {x, kOnes, f32({1}, {1})},
       {f32({1, 1, 4, 4}, {2, 2, 3, 3, 2, 2, 3, 3, 4, 4, 5, 5, 4, 4, 5, 5})}},
      {"pads cut", "ConvTranspose", 11, {{"pads", Ints{1, 1, 0, 0}}}, {x, kOnes}, {f32({1, 1, 2, 2}, {10, 6, 7, 4})}},
      {"output_padding widens",
       "ConvTranspose",
       11,
       {{"strides", Ints{2}}, {"output_padding", Ints{1}}},
       {f32({1, 1, 2}, {1, 2}), f32({1, 1, 2}, {1, 10})},
       {f32({1, 1, 5}, {1, 10, 2, 20, 0})}},
      {"output_shape decides the pads",
       "ConvTranspose",
       11,
       {{"output_shape", Ints{2}}},
       {f32({1, 1, 2}, {1, 2}), f32({1, 1, 2}, {1, 10})},
       {f32({1, 1, 2}, {12, 20})}},
      {"SAME_UPPER makes stride times the input",
       "ConvTranspose",
       11,
       {{"auto_pad", "SAME_UPPER"}, {"strides", Ints{2}}},
       {f32({1, 1, 2}, {1, 2}), f32({1, 1, 3}, {1, 10, 100})},
       {f32({1, 1, 4}, {1, 10, 102, 20})}},
      {"groups and several outputs of each",
       "ConvTranspose",
       11,
       {{"group", std::int64_t{2}}},
       {f32({1, 2, 1}, {1, 2}), f32({2, 2, 1}, {1, 2, 3, 4})},
       {f32({1, 4, 1}, {1, 2, 6, 8})}},
      {"two inputs sum into one output",
       "ConvTranspose",
       11,
       {},
       {f32({1, 2, 1}, {1, 2}), f32({2, 1, 1}, {3, 5})},
       {f32({1, 1, 1}, {13})}},
  };
}

Cases product_cases() {
  const Tensor a = f32({2, 3}, {1, 2, 3, 4, 5, 6}), b = f32({3, 2}, {1, 2, 3, 4, 5, 6});
  return {
      {"plain", "Gemm", 11, {}, {a, b}, {f32({2, 2}, {22, 28, 49, 64})}},
      {"C is broadcast, alpha and beta scale",
       "Gemm",
       13,
       {{"alpha", 2.0f}, {"beta", 0.5f}},
       {a, b, f32({2}, {2, 4})},
       {f32({2, 2}, {45, 58, 99, 130})}},
      {"C as a column", "Gemm", 13, {}, {a, b, f32({2, 1}, {100, 200})}, {f32({2, 2}, {122, 128, 249, 264})}},
      {"transB", "Gemm", 13, {{"transB", std::int64_t{1}}}, {a, a}, {f32({2, 2}, {14, 32, 32, 77})}},
      {"transA",
       "Gemm",
       13,
       {{"transA", std::int64_t{1}}},
       {f32({2, 1}, {1, 2}), f32({2, 2}, {1, 2, 3, 4})},
       {f32({1, 2}, {7, 10})}},
      {"matrices", "MatMul", 13, {}, {a, b}, {f32({2, 2}, {22, 28, 49, 64})}},
      {"vector times matrix", "MatMul", 13, {}, {f32({3}, {1, 1, 1}), b}, {f32({2}, {9, 12})}},
      {"matrix times vector", "MatMul", 13, {}, {a, f32({3}, {1, 0, -1})}, {f32({2}, {-2, -2})}},
      {"vector times vector", "MatMul", 13, {}, {f32({2}, {1, 2}), f32({2}, {3, 4})}, {f32({}, {11})}},
      {"leading axes are broadcast",
       "MatMul",
       13,
       {},
       {f32({2, 1, 1, 2}, {1, 2, 3, 4}), f32({2, 2, 1}, {1, 1, 10, 10})},
       {f32({2, 2, 1, 1}, {3, 30, 7, 70})}},
      {"integers", "MatMul", 13, {}, {i64({1, 2}, {2, 3}), i64({2, 1}, {10, 100})}, {i64({1, 1}, {320})}},
  };
}

}  // namespace

std::vector<OperatorCase> layer_cases() {
  Cases all = conv_cases();
  for (auto& more : {conv_transpose_cases(), product_cases()}) all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace bitplan::test
