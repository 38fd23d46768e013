// Cases of transformers' functions as exporters write them out, and of operators that vision models add.
#include <cmath>

#include "tests/catch.hpp"
#include "tests/eval/kernel_cases.hpp"

namespace bitplan::test {
namespace {

TensorId number(Builder& b, double value) { return b.constant(scalar(static_cast<float>(value))); }

TensorId erf_term(Builder& b, TensorId x, bool by_mul) {
  const TensorId inner =
      by_mul ? b.op("Mul", {number(b, 0.70710678118654752), x}) : b.op("Div", {x, number(b, 1.4142135623730951)});
  return b.op("Add", {b.op("Erf", {inner}), number(b, 1)});
}

TensorId tanh_term(Builder& b, TensorId x, bool by_pow) {
  const TensorId cube = by_pow ? b.op("Pow", {x, number(b, 3)}) : b.op("Mul", {b.op("Mul", {x, x}), x});
  const TensorId sum = b.op("Add", {x, b.op("Mul", {cube, number(b, 0.044715)})});
  return b.op("Add", {number(b, 1), b.op("Tanh", {b.op("Mul", {sum, number(b, 0.7978845608028654)})})});
}

std::vector<Case> gelu_cases() {
  return {
      {"Gelu pattern", "x/2 * term",
       [](Builder& b, TensorId x) {
         return b.op("Mul", {b.op("Mul", {x, number(b, 0.5)}), erf_term(b, x, false)});
       }},
      {"Gelu pattern", "x * (term/2)",
       [](Builder& b, TensorId x) {
         return b.op("Mul", {x, b.op("Mul", {number(b, 0.5), erf_term(b, x, true)})});
       }},
      {"Gelu pattern", "(x * term)/2",
       [](Builder& b, TensorId x) {
         return b.op("Mul", {b.op("Mul", {x, erf_term(b, x, false)}), number(b, 0.5)});
       }},
      {"Gelu pattern", "tanh, by Pow",
       [](Builder& b, TensorId x) {
         return b.op("Mul", {b.op("Mul", {number(b, 0.5), x}), tanh_term(b, x, true)});
       }},
      {"Gelu pattern", "tanh, by products",
       [](Builder& b, TensorId x) {
         return b.op("Mul", {b.op("Mul", {number(b, 0.5), x}), tanh_term(b, x, false)});
       }},
  };
}

TensorId mean_of(Builder& b, TensorId x) { return b.op("ReduceMean", {x}, {{"axes", Ints{-1}}}); }

std::vector<Case> norm_cases() {
  return {
      {"LayerNormalization", "last axis",
       [](Builder& b, TensorId x) {
         return b.op("LayerNormalization", {x, b.random({7}), b.random({7})}, {{"epsilon", 1e-3F}});
       }},
      {"LayerNormalization", "two axes, no bias",
       [](Builder& b, TensorId x) {
         return b.op("LayerNormalization", {x, b.random({9, 7})}, {{"axis", std::int64_t{2}}});
       }},
      {"RMSNormalization", "",
       [](Builder& b, TensorId x) {
         return b.op("RMSNormalization", {x, b.random({7})}, {}, 23);
       }},
      {"Norm pattern", "root mean square by Reciprocal",
       [](Builder& b, TensorId x) {
         const TensorId v = b.op("Add", {mean_of(b, b.op("Pow", {x, number(b, 2)})), number(b, 1e-6)});
         const TensorId n = b.op("Mul", {x, b.op("Reciprocal", {b.op("Sqrt", {v})})});
         return b.op("Mul", {b.random({7}), n});
       }},
      {"Norm pattern", "root mean square by Div, squares by Mul",
       [](Builder& b, TensorId x) {
         const TensorId v = b.op("Add", {number(b, 1e-6), mean_of(b, b.op("Mul", {x, x}))});
         const TensorId n = b.op("Mul", {b.op("Div", {number(b, 1), b.op("Sqrt", {v})}), x});
         return b.op("Mul", {n, b.random({7})});
       }},
      {"Norm pattern", "layer normalization written out",
       [](Builder& b, TensorId x) {
         const TensorId d = b.op("Sub", {x, mean_of(b, x)});
         const TensorId v = b.op("Add", {mean_of(b, b.op("Pow", {d, number(b, 2)})), number(b, 1e-5)});
         const TensorId n = b.op("Div", {d, b.op("Sqrt", {v})});
         return b.op("Add", {b.op("Mul", {n, b.random({7})}), b.random({7})});
       }},
      {"GroupNormalization", "a scale for each group",
       [](Builder& b, TensorId x) {
         return b.op("GroupNormalization", {x, b.random({5}), b.random({5})}, {{"num_groups", std::int64_t{5}}}, 18);
       }},
      {"GroupNormalization", "a scale for each channel",
       [](Builder& b, TensorId x) {
         return b.op("GroupNormalization", {x, b.random({20}), b.random({20})}, {{"num_groups", std::int64_t{4}}}, 21);
       }},
      {"InstanceNormalization", "",
       [](Builder& b, TensorId x) {
         return b.op("InstanceNormalization", {x, b.random({20}), b.random({20})});
       }},
  };
}

/// q, k, v [2, heads, 9, width] out of x [2, 20, 9, 7].
TensorId head(Builder& b, TensorId x, std::int64_t heads, std::int64_t width, bool transposed = false) {
  const TensorId rows =
      b.op("Reshape", {b.op("Transpose", {x}, {{"perm", Ints{0, 2, 1, 3}}}), b.integers({2, 9, 140})});
  const TensorId w = b.random({140, heads * width}, 0.1);
  const TensorId made = b.layer(b.op("MatMul", {rows, w}), rows, w);
  const TensorId split = b.op("Reshape", {made, b.integers({2, 9, heads, width})});
  return b.op("Transpose", {split}, {{"perm", transposed ? Ints{0, 2, 3, 1} : Ints{0, 2, 1, 3}}});
}

/// Each key head twice, as grouped attention repeats it.
TensorId repeated(Builder& b, TensorId k, std::int64_t heads, std::int64_t width) {
  const TensorId wide = b.op("Expand", {b.op("Unsqueeze", {k, b.integers({2})}), b.integers({2, heads, 2, 9, width})});
  return b.op("Reshape", {wide, b.integers({2, 2 * heads, 9, width})});
}

TensorId causal_mask(Builder& b, std::int64_t n) {
  Tensor mask(DType::f32, {1, 1, n, n});
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = i + 1; j < n; ++j) mask.writable<float>()[static_cast<std::size_t>(i * n + j)] = -3.4e38F;
  return b.constant(mask);
}

/// Back to [2, 9, heads * width].
TensorId joined(Builder& b, TensorId y) {
  return b.op("Reshape", {b.op("Transpose", {y}, {{"perm", Ints{0, 2, 1, 3}}}), b.integers({2, 9, -1})});
}

std::vector<Case> attention_cases() {
  return {
      {"Attention pattern", "scaled, masked",
       [](Builder& b, TensorId x) {
         const TensorId s = b.op("MatMul", {head(b, x, 4, 5), head(b, x, 4, 5, true)});
         const TensorId masked = b.op("Add", {b.op("Div", {s, number(b, 2.236)}), causal_mask(b, 9)});
         return joined(b, b.op("MatMul", {b.op("Softmax", {masked}), head(b, x, 4, 6)}));
       }},
      {"Attention pattern", "no mask, scaled before",
       [](Builder& b, TensorId x) {
         const TensorId q = b.op("Mul", {head(b, x, 4, 5), number(b, 0.4)});
         return joined(
             b, b.op("MatMul", {b.op("Softmax", {b.op("MatMul", {q, head(b, x, 4, 5, true)})}), head(b, x, 4, 6)}));
       }},
      {"Attention pattern", "grouped heads",
       [](Builder& b, TensorId x) {
         const TensorId k = b.op("Transpose", {repeated(b, head(b, x, 2, 5), 2, 5)}, {{"perm", Ints{0, 1, 3, 2}}});
         const TensorId s = b.op("Mul", {b.op("MatMul", {head(b, x, 4, 5), k}), number(b, 0.4)});
         const TensorId p = b.op("Softmax", {b.op("Add", {causal_mask(b, 9), s})}, {{"axis", std::int64_t{3}}});
         return joined(b, b.op("MatMul", {p, repeated(b, head(b, x, 2, 6), 2, 6)}));
       }},
      {"Attention pattern", "a computed mask, rank 3",
       [](Builder& b, TensorId x) {
         const TensorId y = b.op("Reshape", {x, b.integers({40, 9, 7})});
         const TensorId s = b.op("MatMul", {y, b.op("Transpose", {y}, {{"perm", Ints{0, 2, 1}}})});
         const TensorId mask = b.op("Tanh", {b.input({1, 1, 9})});
         return b.op("Reshape",
                     {b.op("MatMul", {b.op("Softmax", {b.op("Add", {s, mask})}), y}), b.integers({2, 20, 9, 7})});
       }},
      {"Einsum", "scores of heads",
       [](Builder& b, TensorId x) {
         return b.op("Einsum", {head(b, x, 4, 5), head(b, x, 4, 5)}, {{"equation", std::string("bhid,bhjd->bhij")}});
       }},
      {"Einsum", "the result in another order",
       [](Builder& b, TensorId x) {
         const TensorId y = b.op("Einsum", {x, x}, {{"equation", std::string("nchw, nchv -> cvnw")}});
         return b.op("Tanh", {y});
       }},
      {"Einsum", "by the reference",
       [](Builder& b, TensorId x) {
         return b.op("Einsum", {x, b.random({9})}, {{"equation", std::string("nchw,h->ncw")}});
       }},
      {"Cast", "to the same type",
       [](Builder& b, TensorId x) {
         return b.op("Cast", {x}, {{"to", std::int64_t{1}}});
       }},
      {"Rotary pattern", "by Slice",
       [](Builder& b, TensorId x) {
         const TensorId q = head(b, x, 4, 6);
         const auto part = [&](std::int64_t from, std::int64_t to) {
           return b.op("Slice", {q, b.integers({from}), b.integers({to}), b.integers({3}), b.integers({1})});
         };
         const TensorId turned =
             b.op("Concat", {b.op("Neg", {part(3, INT64_MAX)}), part(0, 3)}, {{"axis", std::int64_t{-1}}});
         return joined(
             b, b.op("Add", {b.op("Mul", {q, b.random({1, 1, 9, 6})}), b.op("Mul", {turned, b.random({9, 6})})}));
       }},
      {"Rotary pattern", "by Split",
       [](Builder& b, TensorId x) {
         const TensorId q = head(b, x, 4, 6);
         const auto parts = b.ops("Split", {q, b.integers({3, 3})}, {{"axis", std::int64_t{3}}}, 17, 2);
         const TensorId turned = b.op("Concat", {b.op("Neg", {parts[1]}), parts[0]}, {{"axis", std::int64_t{3}}});
         return joined(b, b.op("Add", {b.op("Mul", {b.random({9, 6}), turned}), b.op("Mul", {b.random({9, 6}), q})}));
       }},
      {"MatMul", "bias, residual sum and Relu at rank 4",
       [](Builder& b, TensorId x) {
         const TensorId w = b.random({7, 7});
         const TensorId y = b.op("Add", {b.random({7}), b.layer(b.op("MatMul", {x, w}), x, w)});
         return b.op("Relu", {b.op("Add", {b.op("Tanh", {x}), y})});
       }},
      {"Gemm", "Reshape, residual sum and Gelu behind it",
       [](Builder& b, TensorId x) {
         const TensorId f = b.op("Reshape", {x, b.integers({360, 7})}), w = b.random({7, 7});
         const TensorId y = b.layer(b.op("Gemm", {f, w, b.random({7})}), f, w);
         const TensorId sum = b.op("Add", {b.op("Reshape", {y, b.integers({2, 20, 9, 7})}), x});
         return b.op("Mul", {b.op("Mul", {sum, number(b, 0.5)}), erf_term(b, sum, false)});
       }},
  };
}

std::vector<Case> vision_cases() {
  const auto transposed = [](const std::string& what, Shape w, Builder::Attributes attributes, bool bias) {
    return Case{"ConvTranspose", what, [=](Builder& b, TensorId x) {
                  const TensorId weight = b.random(w, 0.1);
                  std::vector<TensorId> inputs{x, weight};
                  if (bias) inputs.push_back(b.random({w[1] * (attributes.contains("group") ? 2 : 1)}));
                  return b.layer(b.op("ConvTranspose", inputs, attributes), x, weight);
                }};
  };
  const auto resized = [](const std::string& what, Builder::Attributes attributes, std::vector<float> scales) {
    return Case{"Resize", what, [=](Builder& b, TensorId x) {
                  const TensorId s = b.constant(Tensor::of<float>({4}, scales));
                  return b.op("Resize", {x, kNoTensor, s}, attributes);
                }};
  };
  const auto text = [](const char* value) { return std::string(value); };
  return {
      transposed("stride 2", {20, 6, 3, 3}, {{"strides", Ints{2, 2}}}, false),
      transposed("padded, bias", {20, 8, 4, 4}, {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}}, true),
      transposed("output padding, dilated", {20, 5, 3, 3},
                 {{"strides", Ints{2, 2}}, {"output_padding", Ints{1, 1}}, {"dilations", Ints{2, 1}}}, true),
      transposed("2 groups", {20, 3, 2, 2}, {{"strides", Ints{2, 2}}, {"group", std::int64_t{2}}}, true),
      resized("nearest", {{"mode", text("nearest")}, {"coordinate_transformation_mode", text("asymmetric")}},
              {1, 1, 2, 2}),
      resized("linear", {{"mode", text("linear")}}, {1, 1, 2, 1.5F}),
      resized("linear, corners", {{"mode", text("linear")}, {"coordinate_transformation_mode", text("align_corners")}},
              {1, 1, 0.7F, 3}),
      resized("cubic", {{"mode", text("cubic")}}, {1, 1, 2, 2}),
      {"DepthToSpace", "DCR",
       [](Builder& b, TensorId x) {
         return b.op("DepthToSpace", {x}, {{"blocksize", std::int64_t{2}}});
       }},
      {"DepthToSpace", "CRD",
       [](Builder& b, TensorId x) {
         return b.op("DepthToSpace", {x}, {{"blocksize", std::int64_t{2}}, {"mode", std::string("CRD")}});
       }},
      {"SpaceToDepth", "",
       [](Builder& b, TensorId x) {
         const TensorId large = b.op("DepthToSpace", {x}, {{"blocksize", std::int64_t{2}}});
         return b.op("SpaceToDepth", {large}, {{"blocksize", std::int64_t{2}}});
       }},
      {"Gather", "rows along an inner axis, negative indices",
       [](Builder& b, TensorId x) {
         return b.op("Gather", {x, b.integers({3, -1, 0})}, {{"axis", std::int64_t{1}}});
       }},
      {"Gather", "an embedding",
       [](Builder& b, TensorId x) {
         const TensorId bounded = b.op("Clip", {x, b.constant(scalar(-5)), b.constant(scalar(5))});
         const TensorId table = b.random({11, 6});
         const TensorId ids =
             b.op("Cast", {b.op("ReduceMean", {bounded}, {{"axes", Ints{3}}})}, {{"to", std::int64_t{7}}});
         return b.op("Gather", {table, ids});
       }},
      {"Transpose", "integers",
       [](Builder& b, TensorId x) {
         return b.op("Transpose", {b.op("Cast", {x}, {{"to", std::int64_t{7}}})}, {{"perm", Ints{2, 0, 3, 1}}});
       }},
  };
}

}  // namespace

std::vector<Case> pattern_cases() {
  std::vector<Case> all;
  for (const auto& some : {gelu_cases(), norm_cases(), attention_cases(), vision_cases()})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

TEST_CASE("an embedding and a ConvTranspose read the candidate's weights") {
  Builder b;
  const TensorId x = b.input({2, 4, 6, 6}), kernel = b.random({4, 3, 2, 2}), table = b.random({7, 5});
  const TensorId large = b.layer(b.op("ConvTranspose", {x, kernel}, {{"strides", Ints{2, 2}}}), x, kernel);
  const TensorId bounded = b.op("Clip", {x, b.constant(scalar(-3)), b.constant(scalar(3))});
  const TensorId ids = b.op("Cast", {bounded}, {{"to", std::int64_t{7}}});
  const TensorId rows = b.layer(b.op("Gather", {table, ids}), ids, table);
  const auto net = b.finish({large, rows});
  Quantization q;
  for (const LayerId layer : {0, 1}) {
    const auto values = net->tensor(net->layer(layer).weight).constant->values<float>();
    for (const float v : values) q.weights[layer].push_back(std::round(v * 2) / 2);
  }
  const auto inputs = random_inputs(*net);
  const auto made = run(Executor(net), inputs, q), expected = by_definition(*net, inputs, q);
  CHECK(distance(made[0], expected[0]) < 2e-6);
  CHECK(distance(made[1], expected[1]) == 0);
  CHECK(distance(made[1], by_definition(*net, inputs)[1]) > 0.01);
}

TEST_CASE("an index outside an embedding is refused by name") {
  Builder b;
  const TensorId ids = b.op("Cast", {b.input({2, 3})}, {{"to", std::int64_t{7}}});
  const auto net = b.finish({b.op("Gather", {b.random({7, 5}), ids})});
  Tensor x(DType::f32, {2, 3});
  x.writable<float>()[4] = 7;
  CHECK_THROWS_WITH(run(Executor(net), {x}), "node 'Gather1' (Gather, opset 17): index 7 is outside an axis of 7");
}

}  // namespace bitplan::test
