// Every fast kernel equals the operator's definition, behind a convolution (blocked layouts) and on plain tensors.
#include <set>

#include "eval/kernels/kernel_table.hpp"
#include "eval/kernels/strided_copy.hpp"
#include "tests/catch.hpp"
#include "tests/eval/kernel_cases.hpp"

namespace bitplan::test {
namespace {

Case pool(const std::string& op, const std::string& what, Builder::Attributes attributes) {
  return {op, what, [op, attributes](Builder& b, TensorId x) { return b.op(op, {x}, attributes); }};
}
Case slice(const std::string& what, Ints starts, Ints ends, Ints axes, Ints steps) {
  return {"Slice", what, [=](Builder& b, TensorId x) {
            return b.op("Slice", {x, b.integers(starts), b.integers(ends), b.integers(axes), b.integers(steps)});
          }};
}
Case pad(const std::string& what, Ints pads, float value) {
  return {"Pad", what, [=](Builder& b, TensorId x) {
            return b.op("Pad", {x, b.integers(pads), b.constant(scalar(value))});
          }};
}
Case with(const std::string& op, const std::string& what, const Shape& other, bool swapped = false) {
  return {op, what, [=](Builder& b, TensorId x) {
            const TensorId c = b.random(other);
            return swapped ? b.op(op, {c, x}) : b.op(op, {x, c});
          }};
}

std::vector<Case> layer_cases() {
  return {
      {"Conv", "3x3 stride 2",
       [](Builder& b, TensorId x) {
         return b.conv(x, 24, {3, 2, 1, 1});
       }},
      {"Conv", "1x1",
       [](Builder& b, TensorId x) {
         return b.conv(x, 7, {1, 1, 0, 1});
       }},
      {"Conv", "depthwise",
       [](Builder& b, TensorId x) {
         return b.conv(x, 20, {3, 1, 1, 20});
       }},
      {"Conv", "2 groups",
       [](Builder& b, TensorId x) {
         return b.conv(x, 32, {3, 1, 1, 2});
       }},
      {"Conv", "dilated, pads differ, no bias",
       [](Builder& b, TensorId x) {
         const TensorId w = b.random({9, 20, 3, 2}, 0.1);
         return b.layer(b.op("Conv", {x, w}, {{"dilations", Ints{2, 1}}, {"pads", Ints{0, 1, 2, 0}}}), x, w);
       }},
      {"Conv", "SAME_UPPER",
       [](Builder& b, TensorId x) {
         const TensorId w = b.random({9, 20, 4, 4}, 0.1);
         return b.layer(b.op("Conv", {x, w}, {{"auto_pad", std::string("SAME_UPPER")}, {"strides", Ints{2, 2}}}), x, w);
       }},
      {"Gemm", "B not transposed, alpha, beta",
       [](Builder& b, TensorId x) {
         const TensorId f = b.op("Flatten", {x}), w = b.random({20 * 63, 10}, 0.1);
         return b.layer(b.op("Gemm", {f, w, b.random({10})}, {{"alpha", 0.5F}, {"beta", 2.0F}}), f, w);
       }},
      {"Gemm", "B transposed, scalar C",
       [](Builder& b, TensorId x) {
         const TensorId f = b.op("Flatten", {x}), w = b.random({10, 20 * 63}, 0.1);
         return b.layer(b.op("Gemm", {f, w, b.constant(scalar(0.5F))}, {{"transB", std::int64_t{1}}}), f, w);
       }},
      {"MatMul", "constant",
       [](Builder& b, TensorId x) {
         const TensorId w = b.random({7, 5});
         return b.layer(b.op("MatMul", {x, w}), x, w);
       }},
      {"MatMul", "constant on the left",
       [](Builder& b, TensorId x) {
         const TensorId w = b.random({5, 9});
         return b.layer(b.op("MatMul", {w, x}), x, w);
       }},
      {"MatMul", "two computed stacks",
       [](Builder& b, TensorId x) {
         return b.op("MatMul", {x, b.op("Transpose", {x}, {{"perm", Ints{0, 1, 3, 2}}})});
       }},
      {"MatMul", "broadcast stack",
       [](Builder& b, TensorId x) {
         return b.op("MatMul", {x, b.op("Relu", {b.input({7, 4})})});
       }},
  };
}

std::vector<Case> function_cases() {
  const auto clip = [](Builder& b, TensorId x) {
    return b.op("Clip", {x, b.constant(scalar(-0.5F)), b.constant(scalar(0.25F))});
  };
  return {
      unary("Relu"),
      unary("LeakyRelu", {{"alpha", 0.2F}}),
      unary("Elu"),
      unary("Sigmoid"),
      unary("HardSigmoid"),
      unary("HardSwish"),
      unary("Tanh"),
      unary("Identity"),
      {"Clip", "two bounds", clip},
      {"Clip", "lower bound only",
       [](Builder& b, TensorId x) {
         return b.op("Clip", {x, b.constant(scalar(0.1F))});
       }},
      {"Clip", "upper bound only",
       [](Builder& b, TensorId x) {
         return b.op("Clip", {x, kNoTensor, b.constant(scalar(0.1F))});
       }},
      with("Add", "scalar", {}),
      with("Sub", "scalar", {}),
      with("Sub", "from a scalar", {}, true),
      with("Mul", "scalar", {}),
      with("Div", "by a scalar", {1}),
      {"Div", "of a scalar",
       [](Builder& b, TensorId x) {
         return b.op("Div", {b.constant(scalar(2)), b.op("Sigmoid", {x})});
       }},
      with("Add", "per channel", {1, 20, 1, 1}),
      with("Add", "per channel, rank 3", {20, 1, 1}),
      with("Mul", "last axis", {7}),
      with("Sub", "per channel, swapped", {1, 20, 1, 1}, true),
      with("Div", "per channel", {1, 20, 1, 1}),
      with("Add", "along channels", {1, 1, 9, 7}),
      with("Add", "same shape", {2, 20, 9, 7}),
      with("Sub", "same shape", {2, 20, 9, 7}, true),
      {"Add", "itself",
       [](Builder& b, TensorId x) {
         return b.op("Add", {x, x});
       }},
      {"Mul", "computed, x is read again",
       [](Builder& b, TensorId x) {
         return b.op("Mul", {b.op("Add", {x, b.op("Tanh", {x})}), x});
       }},
      {"Div", "computed",
       [](Builder& b, TensorId x) {
         return b.op("Div", {x, b.op("Sigmoid", {x})});
       }},
      {"Mul", "squeeze and excitation",
       [](Builder& b, TensorId x) {
         return b.op("Mul", {x, b.op("Sigmoid", {b.op("GlobalAveragePool", {x})})});
       }},
      {"Mul", "squeeze and excitation, swapped",
       [](Builder& b, TensorId x) {
         return b.op("Mul", {b.op("Sigmoid", {b.op("GlobalAveragePool", {x})}), x});
       }},
      {"Mul", "outer product",
       [](Builder& b, TensorId x) {
         return b.op("Mul",
                     {b.op("ReduceMean", {x}, {{"axes", Ints{2}}}), b.op("ReduceMean", {x}, {{"axes", Ints{3}}})});
       }},
      {"BatchNormalization", "",
       [](Builder& b, TensorId x) {
         const TensorId v = b.constant(Tensor::of<float>({20}, std::vector<float>(20, 0.7F)));
         return b.op("BatchNormalization", {x, b.random({20}), b.random({20}), b.random({20}), v});
       }},
      unary("LogSoftmax"),
      unary("LogSoftmax", {{"axis", std::int64_t{1}}}),
      unary("Softmax"),
      unary("Softmax", {{"axis", std::int64_t{1}}}),
      {"Softmax", "opset 11",
       [](Builder& b, TensorId x) {
         return b.op("Softmax", {x}, {{"axis", std::int64_t{2}}}, 11);
       }},
  };
}

std::vector<Case> window_cases() {
  const Builder::Attributes two{{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}};
  const Builder::Attributes three{{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}};
  auto ceil = three, include = three, ceil_include = three;
  ceil["ceil_mode"] = include["count_include_pad"] = std::int64_t{1};
  ceil_include["ceil_mode"] = ceil_include["count_include_pad"] = std::int64_t{1};
  return {
      pool("MaxPool", "2x2", two),
      pool("MaxPool", "padded", three),
      pool("MaxPool", "ceil", ceil),
      pool("AveragePool", "2x2", two),
      pool("AveragePool", "padded", three),
      pool("AveragePool", "counts padding", include),
      pool("AveragePool", "ceil", ceil),
      pool("AveragePool", "ceil, counts padding", ceil_include),
      unary("GlobalAveragePool"),
      unary("ReduceMean", {{"axes", Ints{2, 3}}}),
      unary("ReduceMean", {{"axes", Ints{-1, -2}}, {"keepdims", std::int64_t{0}}}),
      unary("ReduceMean", {{"axes", Ints{1}}}),
      unary("ReduceMean", {{"axes", Ints{0, 2}}}),
      unary("ReduceMean"),
      {"ReduceMean", "axes are an input",
       [](Builder& b, TensorId x) {
         return b.op("ReduceMean", {x, b.integers({3})}, {}, 18);
       }},
      {"ReduceSum", "",
       [](Builder& b, TensorId x) {
         return b.op("ReduceSum", {x, b.integers({1, 2})});
       }},
  };
}

std::vector<Case> move_cases() {
  return {
      slice("stride 2 in space", {0, 0}, {100, 100}, {2, 3}, {2, 2}),
      slice("channels", {3}, {-2}, {1}, {1}),
      slice("whole blocks of channels", {16}, {20}, {1}, {1}),
      slice("every third channel", {1}, {20}, {1}, {3}),
      slice("backwards", {-1}, {-100}, {3}, {-2}),
      slice("the second sample", {1}, {2}, {0}, {1}),
      pad("channels", {0, 8, 0, 0, 0, 8, 0, 0}, 0),
      pad("whole blocks of channels", {0, 16, 0, 0, 0, 0, 0, 0}, 0),
      pad("space", {0, 0, 1, 2, 0, 0, 0, 3}, 0),
      pad("with a value", {0, 1, 1, 2, 0, 0, 0, 3}, 0.5F),
      {"Concat", "channels",
       [](Builder& b, TensorId x) {
         return b.op("Concat", {x, b.op("Relu", {x}), b.conv(x, 32)}, {{"axis", std::int64_t{1}}});
       }},
      {"Concat", "width, with a constant",
       [](Builder& b, TensorId x) {
         return b.op("Concat", {b.random({2, 20, 9, 2}), x}, {{"axis", std::int64_t{-1}}});
       }},
      {"Split", "channels",
       [](Builder& b, TensorId x) {
         const auto parts = b.ops("Split", {x, b.integers({4, 16})}, {{"axis", std::int64_t{1}}}, 17, 2);
         return b.op("Concat", {parts[1], parts[0]}, {{"axis", std::int64_t{1}}});
       }},
      {"Expand", "",
       [](Builder& b, TensorId x) {
         return b.op("Expand", {b.op("GlobalAveragePool", {x}), b.integers({3, 2, 20, 4, 1})});
       }},
      {"Transpose", "default", [](Builder& b, TensorId x) { return b.op("Transpose", {x}); }},
      {"Transpose", "channels last",
       [](Builder& b, TensorId x) {
         return b.op("Transpose", {x}, {{"perm", Ints{0, 2, 3, 1}}});
       }},
      {"Reshape", "channel shuffle",
       [](Builder& b, TensorId x) {
         const TensorId r = b.op("Reshape", {x, b.integers({2, 4, 5, 9, 7})});
         return b.op("Reshape", {b.op("Transpose", {r}, {{"perm", Ints{0, 2, 1, 3, 4}}}), b.integers({2, 20, 9, 7})});
       }},
      {"Flatten", "", [](Builder& b, TensorId x) { return b.op("Flatten", {x}); }},
      {"Unsqueeze", "",
       [](Builder& b, TensorId x) {
         return b.op("Unsqueeze", {x, b.integers({1})});
       }},
      {"Squeeze", "",
       [](Builder& b, TensorId x) {
         return b.op("Squeeze", {b.op("GlobalAveragePool", {x}), b.integers({2, 3})});
       }},
      {"Cast", "integers by the reference",
       [](Builder& b, TensorId x) {
         return b.op("Cast", {x}, {{"to", std::int64_t{7}}});
       }},
  };
}

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (const auto& some :
       {layer_cases(), function_cases(), window_cases(), move_cases(), pointwise_cases(), pattern_cases()})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

}  // namespace

TEST_CASE("each kernel equals its operator's definition on plain and on blocked tensors") {
  for (const Case& c : all_cases())
    for (const bool blocked : {false, true})
      for (const bool fuse : {false, true}) {
        CAPTURE(c.op, c.what, blocked, fuse);
        Builder b;
        const TensorId x = b.input({2, blocked ? 5 : 20, 9, 7});
        const TensorId before = blocked ? b.conv(x, 20) : x;
        const TensorId y = c.make(b, before);
        const TensorId after =
            b.net.tensor(y).dtype == DType::f32 && b.net.tensor(y).shape.size() == 4 ? b.conv(y, 6) : y;
        const auto net = b.finish(blocked ? std::vector<TensorId>{after} : std::vector<TensorId>{y, after});
        const auto inputs = random_inputs(*net);
        const auto made = run(Executor(net, fuse), inputs), expected = by_definition(*net, inputs);
        for (std::size_t i = 0; i < made.size(); ++i) CHECK(distance(made[i], expected[i]) < 2e-6);
      }
}

TEST_CASE("3x3 convolutions of many channels, where Winograd's transform is used, equal the definition") {
  Builder b;
  const TensorId x = b.input({3, 5, 13, 10});
  const TensorId a = b.conv(x, 40), c = b.conv(a, 36, {3, 1, 0, 1});
  const TensorId y = b.op("Relu", {b.op("Add", {b.conv(b.op("Relu", {b.conv(a, 70)}), 40), a})});
  const auto net = b.finish({c, y});
  const auto inputs = random_inputs(*net);
  const auto expected = by_definition(*net, inputs);
  for (const bool fuse : {false, true}) {
    const auto made = run(Executor(net, fuse), inputs);
    for (std::size_t i = 0; i < made.size(); ++i) CHECK(distance(made[i], expected[i]) < 1e-5);
  }
}

TEST_CASE("convolutions and poolings along one axis and three equal the definition") {
  for (const std::size_t axes : {1, 3}) {
    Builder b;
    Shape shape{2, 6}, kernel{18, 6};
    shape.insert(shape.end(), axes, 7);
    kernel.insert(kernel.end(), axes, 3);
    const TensorId x = b.input(shape), w = b.random(kernel, 0.1);
    const TensorId c = b.layer(b.op("Conv", {x, w}, {{"pads", Ints(2 * axes, 1)}}), x, w);
    const TensorId p = b.op("MaxPool", {c}, {{"kernel_shape", Ints(axes, 2)}});
    const auto net = b.finish({b.op("GlobalAveragePool", {p}), b.op("Concat", {p, p}, {{"axis", std::int64_t{1}}})});
    const auto inputs = random_inputs(*net);
    const auto made = run(Executor(net), inputs), expected = by_definition(*net, inputs);
    for (std::size_t i = 0; i < made.size(); ++i) CHECK(distance(made[i], expected[i]) < 2e-6);
  }
}

TEST_CASE("each row of the kernel table has a case") {
  std::set<std::string> covered;
  for (const Case& c : all_cases()) covered.insert(c.op);
  for (const Kernel& kernel : kernels()) CHECK(covered.contains(std::string(kernel.op)));
}

TEST_CASE("a region between blocked layouts is cut where blocks end") {
  const Placement blocked{{1, 8, 2, 1}, {16, 8, 4, 4}, 1, 4};
  const Region region{{1, 4, 2, 1}, {0, 2, 0, 0}, {1, 1, 1, 1}, {0, 0, 0, 0}};
  const auto jobs = copy_jobs(blocked, blocked, region);
  REQUIRE(jobs);
  REQUIRE(jobs->size() == 2);  // channels 2, 3 to 0, 1 and 4, 5 to 2, 3
  CHECK((*jobs)[0].from == 2);
  CHECK((*jobs)[0].to == 0);
  CHECK((*jobs)[1].from == 8);
  CHECK((*jobs)[1].to == 2);
  CHECK((*jobs)[0].loops.back().count == 2);
}

}  // namespace bitplan::test
