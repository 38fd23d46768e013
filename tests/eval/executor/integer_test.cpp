#include <cmath>

#include "core/parallel.hpp"
#include "eval/executor/executor.hpp"
#include "model/interpret.hpp"
#include "tests/catch.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {
namespace {

Choice weight_choice(const std::string& text) {
  return parse_choice(text, ChoiceDefaults::weights(), ChoiceDefaults::weights());
}

/// The same candidate twice: by its definition, and with integer layers wherever these are possible.
struct Pair {
  Quantization definition;
  Candidate integer;
  std::size_t layers = 0;  ///< in integers
};

/// Every site quantized: weights by `choice`, activations to the range that the float network has on `inputs`.
Pair quantize_all(const Executor& executor, const std::vector<Tensor>& inputs, const Choice& choice, int bits,
                  bool symmetric = false) {
  const Network& net = executor.network();
  Pair pair;
  const Executor::Tap tap = [&](SiteId site, std::span<const float> values) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    pair.definition.activations[site] = affine_from_range(0.9F * *low, 0.9F * *high, bits, symmetric, false);
  };
  executor.run(*executor.make_workspace(), inputs, {}, &tap);
  pair.integer = pair.definition.on(executor);
  for (const Layer& layer : net.layers) {
    const auto values = net.tensor(layer.weight).constant->values<float>();
    const auto weight = quantize_weight(values, WeightView::of(layer.weight_shape, layer.channel_axis), choice);
    pair.definition.weights[layer.id] = weight.values;
    const auto l = static_cast<std::size_t>(layer.id);
    const auto& input = pair.integer.activations[static_cast<std::size_t>(net.input_site[l])];
    const IntegerForm form = executor.integer_form(layer.id, *input);
    if (form != IntegerForm::none) pair.integer.weights[l] = executor.pack(layer.id, form, weight);
    if (pair.integer.weights[l]) ++pair.layers;
    if (!pair.integer.weights[l]) pair.integer.weights[l] = executor.pack(layer.id, weight.values);
  }
  return pair;
}

std::vector<Tensor> outputs_of(const Executor& executor, const std::vector<Tensor>& inputs,
                               const Candidate& candidate) {
  const auto workspace = executor.make_workspace();
  executor.run(*workspace, inputs, candidate);
  std::vector<Tensor> outputs;
  for (std::size_t i = 0; i < executor.network().outputs.size(); ++i) outputs.push_back(executor.output(*workspace, i));
  return outputs;
}

/// One layer in every form: its output by definition and in integers.
void check_layer(const std::shared_ptr<const Network>& net, const std::string& choice, int bits, bool symmetric) {
  const Executor executor(net);
  const auto inputs = random_inputs(*net);
  const Pair pair = quantize_all(executor, inputs, weight_choice(choice), bits, symmetric);
  CAPTURE(choice, bits, symmetric, net->nodes[0].op);
  if (!integer_kernels()) return;
  CHECK(pair.layers == 1);
  const auto made = outputs_of(executor, inputs, pair.integer), expected = by_definition(*net, inputs, pair.definition);
  // Sums of at most a few thousand products: their float rounding, relative to the largest output.
  CHECK(distance(made[0], expected[0]) < 2e-6);
}

std::shared_ptr<const Network> one_convolution(std::int64_t channels, std::int64_t outputs, Builder::ConvShape shape) {
  Builder b;
  return b.finish({b.conv(b.input({2, channels, 9, 7}), outputs, shape)});
}

std::shared_ptr<const Network> one_gemm(bool transposed, float alpha = 0.5F) {
  Builder b;
  const TensorId x = b.input({5, 33}), w = b.random(transposed ? Shape{18, 33} : Shape{33, 18}, 0.2);
  const TensorId y = b.layer(
      b.op("Gemm", {x, w, b.random({18})}, {{"transB", std::int64_t{transposed}}, {"alpha", alpha}, {"beta", 2.0F}}), x,
      w);
  b.net.layers[0].channel_axis = transposed ? 0 : 1;
  return b.finish({y});
}

std::shared_ptr<const Network> one_matmul(const Shape& weight) {
  Builder b;
  const TensorId x = b.input({2, 7, 20}), w = b.random(weight, 0.2);
  const TensorId y = b.layer(b.op("MatMul", {x, w}), x, w);
  b.net.layers[0].channel_axis = static_cast<int>(weight.size()) - 1;
  return b.finish({y});
}

/// Codes that go from layer to layer, codes and values of one tensor, sums of both kinds, functions that clamp and
/// functions that do not, pooling in between, padding with zero points.
std::shared_ptr<const Network> everything() {
  Builder b;
  const TensorId x = b.input({3, 3, 12, 12});
  const TensorId six = b.constant(Tensor::of<float>({}, std::vector<float>{6})),
                 zero = b.constant(Tensor::of<float>({}, std::vector<float>{0}));
  const auto bounds = [&](std::int64_t channels) {  // by channel, of which some cut off
    std::vector<float> row(static_cast<std::size_t>(channels));
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = 0.3F + 0.4F * static_cast<float>(i % 7);
    return b.constant(Tensor::of<float>({1, channels, 1, 1}, row));
  };
  const TensorId a = b.op("Min", {b.op("Relu", {b.conv(x, 20)}), bounds(20)});
  const TensorId capped = b.op("Min", {b.op("Clip", {b.conv(a, 24), zero, six}), bounds(24)});
  const TensorId c = b.op("Relu", {b.op("Add", {b.conv(capped, 20), a})});
  const TensorId d = b.op("Add", {b.conv(c, 40, {3, 2, 1, 1}), b.conv(c, 40, {1, 2, 0, 1})});
  const TensorId e = b.op("HardSwish", {b.conv(d, 40, {3, 1, 1, 40})});
  const TensorId f = b.op(
      "Sigmoid",
      {b.conv(b.op("MaxPool", {e},
                   {{"kernel_shape", std::vector<std::int64_t>{2, 2}}, {"strides", std::vector<std::int64_t>{2, 2}}}),
              17, {1, 1, 0, 1})});
  const TensorId g = b.conv(f, 16, {3, 1, 1, 1});
  const TensorId flat = b.op("Flatten", {g});
  const TensorId w = b.random({16 * 9, 30}, 0.1), v = b.random({30, 10}, 0.2);
  const TensorId h = b.op("Relu", {b.layer(b.op("Gemm", {flat, w, b.random({30})}), flat, w)});
  const TensorId logits = b.layer(b.op("Gemm", {h, v, b.random({10})}), h, v);
  for (Layer& layer : b.net.layers)
    if (layer.op == "Gemm") layer.channel_axis = 1;
  return b.finish({logits, d});
}

}  // namespace

TEST_CASE("a layer in integers equals its definition in float but for the rounding of the sums") {
  for (const bool symmetric : {false, true}) {
    for (const auto& [choice, bits] :
         {std::pair{"int8", 8}, {"int8:tensor", 8}, {"int4", 4}, {"int2", 3}, {"int3+affine", 6}, {"int7+affine", 8}}) {
      check_layer(one_convolution(20, 24, {3, 1, 1, 1}), choice, bits, symmetric);
      check_layer(one_convolution(16, 40, {1, 2, 0, 1}), choice, bits, symmetric);
      check_layer(one_convolution(3, 8, {3, 2, 1, 1}), choice, bits, symmetric);
      check_layer(one_convolution(32, 32, {3, 1, 1, 32}), choice, bits, symmetric);
      check_layer(one_gemm(false), choice, bits, symmetric);
      check_layer(one_gemm(true), choice, bits, symmetric);
      check_layer(one_matmul({20, 35}), choice, bits, symmetric);
      check_layer(one_matmul({1, 20, 35}), choice, bits, symmetric);
    }
  }
}

TEST_CASE("a network in integers equals its definition but for codes at the edge between two levels") {
  const auto net = everything();
  const auto inputs = random_inputs(*net);
  for (const bool fuse : {true, false}) {
    for (const int bits : {8, 5}) {
      const Executor executor(net, fuse);
      const Pair pair = quantize_all(executor, inputs, weight_choice("int8"), bits);
      if (integer_kernels()) CHECK(pair.layers == net->layers.size());
      const auto made = outputs_of(executor, inputs, pair.integer),
                 expected = by_definition(*net, inputs, pair.definition);
      for (std::size_t i = 0; i < made.size(); ++i) CHECK(distance(made[i], expected[i]) < (bits == 8 ? 0.005 : 0.03));
    }
  }
}

TEST_CASE("codes that a byte bounds by itself are the same as bounded ones") {
  Builder b;
  const TensorId x = b.input({2, 16, 6, 6});
  const auto number = [&](float v) { return b.constant(Tensor::of<float>({}, std::vector<float>{v})); };
  const TensorId six = b.op("Clip", {b.conv(x, 24), number(0), number(0.7F)});
  const TensorId low = b.op("Clip", {b.conv(six, 24), number(-0.1F), number(0.4F)});
  const auto net = b.finish({b.conv(b.op("Relu", {b.conv(low, 24)}), 16)});
  const auto inputs = random_inputs(*net);
  const Executor executor(net);
  const Pair pair = quantize_all(executor, inputs, weight_choice("int8"), 8);
  // Ranges that end at the clamps fill the byte; wider ones must still be cut off where the clamps are.
  for (const float wider : {1.0F, 1.5F}) {
    Pair changed = pair;
    for (auto& [site, affine] : changed.definition.activations) {
      if (net->site(site).tensor == six) affine = affine_from_range(0, 0.7F * wider, 8, false, false);
      if (net->site(site).tensor == low) affine = affine_from_range(-0.1F * wider, 0.4F * wider, 8, false, false);
      changed.integer.activations[static_cast<std::size_t>(site)] = affine;
    }
    for (const Layer& layer : net->layers) {  // the forms depend on the zero points
      const auto l = static_cast<std::size_t>(layer.id);
      const auto values = net->tensor(layer.weight).constant->values<float>();
      const auto weight = quantize_weight(values, WeightView::of(layer.weight_shape, 0), weight_choice("int8"));
      const auto& input = *changed.integer.activations[static_cast<std::size_t>(net->input_site[l])];
      if (integer_kernels())
        changed.integer.weights[l] = executor.pack(layer.id, executor.integer_form(layer.id, input), weight);
    }
    const auto made = outputs_of(executor, inputs, changed.integer),
               expected = by_definition(*net, inputs, changed.definition);
    CHECK(distance(made[0], expected[0]) < 0.005);
  }
}

TEST_CASE("layers in integers and in float mix") {
  const auto net = everything();
  const auto inputs = random_inputs(*net);
  const Executor executor(net);
  const Pair pair = quantize_all(executor, inputs, weight_choice("int8"), 8);
  const Candidate floats = pair.definition.on(executor);
  for (std::size_t l = 0; l < net->layers.size(); ++l) {
    for (const bool alone : {true, false}) {
      Candidate mixed = alone ? floats : pair.integer;
      mixed.weights[l] = (alone ? pair.integer : floats).weights[l];
      const auto made = outputs_of(executor, inputs, mixed), expected = by_definition(*net, inputs, pair.definition);
      CAPTURE(l, alone);
      for (std::size_t i = 0; i < made.size(); ++i) CHECK(distance(made[i], expected[i]) < 0.005);
    }
  }
}

TEST_CASE("a tensor that an attention product and a layer in integers read reaches both") {
  Builder b;
  const TensorId x = b.input({2, 8, 16}), w = b.random({16, 16}, 0.3), v = b.random({16, 16}, 0.3);
  const TensorId q = b.layer(b.op("MatMul", {x, w}), x, w);
  const TensorId scores = b.op("MatMul", {q, b.op("Transpose", {q}, {{"perm", std::vector<std::int64_t>{0, 2, 1}}})});
  const TensorId y = b.layer(b.op("MatMul", {q, v}), q, v);
  for (Layer& layer : b.net.layers) layer.channel_axis = 1;
  b.finish({scores, y});
  for (Site& site : b.net.sites)
    if (site.tensor == q) site.products = {b.net.tensors[static_cast<std::size_t>(scores)].producer};
  const auto net = std::make_shared<const Network>(b.net);
  const Executor executor(net);
  const auto inputs = random_inputs(*net);
  const Pair pair = quantize_all(executor, inputs, weight_choice("int8"), 4);
  const auto made = outputs_of(executor, inputs, pair.integer), expected = by_definition(*net, inputs, pair.definition);
  for (std::size_t i = 0; i < made.size(); ++i) CHECK(distance(made[i], expected[i]) < 0.05);
}

TEST_CASE("one workspace serves programs of any pattern in turn, with the same results to the bit") {
  const auto net = everything();
  const auto inputs = random_inputs(*net);
  const Executor executor(net);
  const Pair pair = quantize_all(executor, inputs, weight_choice("int6"), 8);
  const auto expected = outputs_of(executor, inputs, pair.integer), plain = outputs_of(executor, inputs, {});
  const auto workspace = executor.make_workspace();
  for (int i = 0; i < 3; ++i) {
    executor.run(*workspace, inputs, pair.integer);
    CHECK(distance(executor.output(*workspace, 0), expected[0]) == 0);
    executor.run(*workspace, inputs, {});
    CHECK(distance(executor.output(*workspace, 0), plain[0]) == 0);
  }
}

namespace {

struct Geometry {
  Shape input;
  std::int64_t outputs, kernel_h, kernel_w, stride, dilation;
  std::vector<std::int64_t> pads;
  std::int64_t groups = 1;
};

std::shared_ptr<const Network> one_convolution(const Geometry& g) {
  Builder b;
  const TensorId x = b.input(g.input), w = b.random({g.outputs, g.input[1] / g.groups, g.kernel_h, g.kernel_w}, 0.2);
  return b.finish({b.layer(b.op("Conv", {x, w},
                                {{"strides", std::vector<std::int64_t>{g.stride, g.stride}},
                                 {"dilations", std::vector<std::int64_t>{g.dilation, g.dilation}},
                                 {"pads", g.pads},
                                 {"group", g.groups}}),
                           x, w)});
}

}  // namespace

TEST_CASE("convolutions of odd geometry that some kernels get wrong are right in integers, also in used memory") {
  for (const Geometry& g : std::vector<Geometry>{{{2, 64, 9, 9}, 32, 3, 3, 1, 4, {4, 4, 4, 4}},
                                                 {{2, 64, 9, 9}, 32, 3, 3, 1, 6, {6, 6, 6, 6}},
                                                 {{2, 64, 9, 9}, 64, 7, 7, 1, 1, {0, 0, 6, 6}},
                                                 {{2, 96, 19, 10}, 32, 5, 5, 1, 1, {4, 4, 4, 4}},
                                                 {{2, 96, 17, 15}, 24, 1, 3, 2, 1, {0, 0, 0, 0}},
                                                 {{2, 96, 23, 19}, 64, 2, 1, 3, 1, {0, 0, 0, 0}},
                                                 {{2, 20, 9, 9}, 20, 3, 3, 1, 1, {1, 1, 1, 1}, 20},
                                                 {{2, 32, 7, 13}, 32, 2, 4, 1, 4, {3, 5, 0, 6}, 32},
                                                 {{2, 32, 9, 9}, 48, 1, 1, 2, 1, {0, 0, 0, 0}},
                                                 {{2, 32, 9, 9}, 48, 3, 3, 2, 1, {1, 1, 1, 1}}}) {
    CAPTURE(g.input, g.outputs, g.kernel_h, g.kernel_w, g.stride, g.dilation, g.pads, g.groups);
    const auto net = one_convolution(g);
    const Executor executor(net);
    const auto inputs = random_inputs(*net);
    const Pair pair = quantize_all(executor, inputs, weight_choice("int8"), 8);
    const auto workspace = executor.make_workspace();
    executor.run(*workspace, inputs, pair.definition.on(executor));  // leaves floats in scratch memory
    executor.run(*workspace, inputs, pair.integer);
    CHECK(distance(executor.output(*workspace, 0), by_definition(*net, inputs, pair.definition)[0]) < 2e-6);
  }
}

TEST_CASE("integer weights must have one scale a channel or tensor and fit into 8 bits") {
  if (!integer_kernels()) return;
  const auto net = one_convolution(16, 24, {1, 1, 0, 1});
  const Executor executor(net);
  const Layer& layer = net->layers[0];
  const auto values = net->tensor(layer.weight).constant->values<float>();
  const auto packed = [&](const std::string& choice) {
    const auto weight = quantize_weight(values, WeightView::of(layer.weight_shape, 0), weight_choice(choice));
    return executor.pack(layer.id, IntegerForm::centered, weight) != nullptr;
  };
  CHECK(packed("int8"));
  CHECK(packed("int7+affine"));
  CHECK_FALSE(packed("int4:g8"));
  for (const char* between : {"int1+fit", "int2+affine+fit", "int4+affine+fit", "int7+affine+fit"})
    CHECK(packed(between));
  // 0 … 255 around a zero point in the middle.
  CHECK_FALSE(packed("int8+affine+minmax"));
}

TEST_CASE("zero points between codes are computed exactly in integers") {
  for (const char* choice : {"int1+fit", "int2+affine+fit", "int3+affine+fit", "int4+affine+fit", "int6+affine+fit"}) {
    INFO(choice);
    check_layer(one_convolution(16, 24, {1, 1, 0, 1}), choice, 8, false);
    check_layer(one_gemm(true, 1), choice, 8, false);
  }
}

TEST_CASE("a Gemm in integers takes any alpha") {
  for (const float alpha : {-1.0F, 0.0F}) check_layer(one_gemm(true, alpha), "int8", 8, false);
}

TEST_CASE("a channel of weights that are next to nothing gives its bias, also as codes with a zero point") {
  Builder b;
  const TensorId x = b.input({2, 16, 4, 4});
  const TensorId w = b.random({16, 16, 1, 1}, 0.3), y = b.layer(b.op("Conv", {x, w}), x, w);
  const auto values = b.net.tensors[static_cast<std::size_t>(w)].constant->writable<float>();
  for (std::size_t i = 0; i < 16; ++i) values[i] *= 1e-38F;
  const auto net = b.finish({b.conv(y, 16, {1, 1, 0, 1})});
  const Executor executor(net);
  const auto inputs = random_inputs(*net);
  const Pair pair = quantize_all(executor, inputs, weight_choice("int8"), 8);
  const auto made = outputs_of(executor, inputs, pair.integer), expected = by_definition(*net, inputs, pair.definition);
  CHECK(distance(made[0], expected[0]) < 0.005);
}

TEST_CASE("sums of products that might not fit into 32 bits are left to float") {
  if (!integer_kernels()) return;
  Builder b;
  const TensorId x = b.input({1, 70000}), w = b.constant(Tensor(DType::f32, {70000, 1}));
  const TensorId y = b.layer(b.op("MatMul", {x, w}), x, w);
  b.net.layers[0].channel_axis = 1;
  const auto net = b.finish({y});
  const Executor executor(net);
  QuantizedWeight weight;
  weight.scales = {1}, weight.zero_points = {0};
  weight.codes.assign(70000, 127);
  CHECK(executor.pack(0, IntegerForm::centered, weight) == nullptr);
  weight.codes.assign(70000, 100);
  CHECK(executor.pack(0, IntegerForm::centered, weight) != nullptr);
}

TEST_CASE("a NaN in a residual sum before a layer in integers is not lost") {
  Builder b;
  const TensorId x = b.input({1, 16, 4, 4}), other = b.input({1, 16, 4, 4});
  const TensorId sum = b.op("Add", {b.conv(x, 16), b.op("Log", {other})});
  const auto net = b.finish({b.conv(sum, 16)});
  const Executor executor(net);
  std::vector<Tensor> inputs = random_inputs(*net);
  for (float& v : inputs[1].writable<float>()) v = 1 + std::abs(v);
  const Pair pair = quantize_all(executor, inputs, weight_choice("int8"), 8);
  inputs[1].writable<float>()[3] = -1;
  const auto outputs = outputs_of(executor, inputs, pair.integer);
  CHECK(std::ranges::count_if(outputs[0].values<float>(), [](float v) { return std::isnan(v); }) > 0);
}

TEST_CASE("a NaN that reaches a layer in integers is not lost") {
  Builder b;
  const TensorId x = b.input({1, 16, 4, 4});
  const auto net = b.finish({b.conv(b.op("Log", {x}), 16, {1, 1, 0, 1})});
  const Executor executor(net);
  std::vector<Tensor> inputs = random_inputs(*net);
  for (float& v : inputs[0].writable<float>()) v = 1 + std::abs(v);
  const Pair pair = quantize_all(executor, inputs, weight_choice("int8"), 8);
  CHECK(std::isfinite(outputs_of(executor, inputs, pair.integer)[0].values<float>()[0]));
  inputs[0].writable<float>()[3] = -1;
  REQUIRE(std::isnan(outputs_of(executor, inputs, {})[0].values<float>()[3]));
  const auto outputs = outputs_of(executor, inputs, pair.integer);
  CHECK(std::ranges::count_if(outputs[0].values<float>(), [](float v) { return std::isnan(v); }) > 0);
}

}  // namespace bitplan::test
