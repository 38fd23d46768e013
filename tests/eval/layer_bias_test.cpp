// A bias that comes with a quantized weight: added to the layer's output by every kernel, in float and in integers.

#include "core/error.hpp"
#include "eval/executor/executor.hpp"
#include "tests/catch.hpp"
#include "tests/eval/biased_networks.hpp"

namespace bitplan::test {
namespace {

using Net = std::shared_ptr<const Network>;

std::vector<Tensor> inputs_of(const Network& net) {
  std::vector<Tensor> inputs;
  for (const TensorId id : net.inputs) inputs.push_back(random_tensor(net.tensor(id).shape, "input"));
  return inputs;
}

Net convolution(Builder::ConvShape shape, bool biased, bool relu, std::int64_t channels = 16,
                std::int64_t outputs = 16) {
  Builder b;
  const TensorId x = b.input({2, channels, 9, 9});
  TensorId y = 0;
  if (biased) {
    y = b.conv(x, outputs, shape);
  } else {
    const TensorId w = b.random({outputs, channels / shape.group, shape.kernel, shape.kernel}, 0.2);
    y = b.layer(b.op("Conv", {x, w},
                     {{"pads", std::vector<std::int64_t>(4, shape.pad)},
                      {"strides", std::vector<std::int64_t>(2, shape.stride)},
                      {"group", shape.group}}),
                x, w);
  }
  b.net.layers[0].groups = shape.group;
  if (relu) y = b.op("Relu", {y});
  return b.finish({y});
}

Net gemm(float alpha, bool biased, bool relu) {
  Builder b;
  const TensorId x = b.input({5, 32}), w = b.random({18, 32}, 0.2);
  std::vector<TensorId> operands{x, w};
  if (biased) operands.push_back(b.random({18}));
  TensorId y = b.layer(b.op("Gemm", operands, {{"transB", std::int64_t{1}}, {"alpha", alpha}, {"beta", 2.0F}}), x, w);
  if (relu) y = b.op("Relu", {y});
  return b.finish({y});
}

Net matmul(bool added) {
  Builder b;
  const TensorId x = b.input({2, 7, 20}), w = b.random({20, 35}, 0.2);
  TensorId y = b.layer(b.op("MatMul", {x, w}), x, w);
  b.net.layers[0].channel_axis = 1;
  if (added) y = b.op("Add", {y, b.random({35})});
  return b.finish({y});
}

Tensor with_addition(const Net& net, const std::vector<Tensor>& inputs, const Quantization& q,
                     const std::vector<float>& bias) {
  return with_additions(net, inputs, q, {bias})[0];
}

QuantizedWeight with_bias(const Network& net, LayerId id, const std::string& choice) {
  const Layer& layer = net.layer(id);
  const WeightView view = WeightView::of(layer.weight_shape, layer.channel_axis);
  QuantizedWeight weight =
      quantize_weight(net.tensor(layer.weight).constant->values<float>(), view, parse_choice(choice, {}, {}));
  for (std::int64_t c = 0; c < view.channels; ++c)
    weight.bias.push_back(0.5F * static_cast<float>((c + id) % 5) - 0.7F);
  return weight;
}

std::vector<Net> networks() {
  std::vector<Net> all;
  for (const bool biased : {false, true})
    for (const bool relu : {false, true}) {
      for (const Builder::ConvShape shape :
           {Builder::ConvShape{3, 1, 1, 1}, {1, 1, 0, 1}, {3, 2, 1, 1}, {3, 1, 1, 16}, {3, 1, 1, 2}, {5, 2, 2, 16}})
        all.push_back(convolution(shape, biased, relu));
      all.push_back(gemm(0.5F, biased, relu));
    }
  all.push_back(convolution({3, 1, 1, 1}, true, true, 64, 64));
  all.push_back(convolution({3, 1, 1, 1}, true, false, 3, 8));
  all.push_back(matmul(false));
  all.push_back(matmul(true));
  return all;
}

}  // namespace

TEST_CASE("a bias that comes with a weight is added to the layer's output, in float and in integers") {
  int integer = 0;
  for (const Net& net : networks())
    for (const bool fuse : {true, false}) {
      const Executor executor(net, fuse);
      const Layer& layer = net->layers[0];
      CAPTURE(layer.op, to_string(layer.weight_shape), layer.groups, net->nodes.size(), fuse);
      REQUIRE(executor.takes_bias(0));
      const auto inputs = inputs_of(*net);
      const QuantizedWeight weight = with_bias(*net, 0, "int5");
      Quantization q;
      q.weights[0] = weight.values;
      Candidate candidate;
      candidate.activations.resize(net->sites.size());
      const auto check = [&](const std::shared_ptr<const PackedWeight>& packed, double bound) {
        candidate.weights = {packed};
        const auto workspace = executor.make_workspace();
        executor.run(*workspace, inputs, candidate);
        CHECK(distance(executor.output(*workspace, 0), with_addition(net, inputs, q, weight.bias)) < bound);
      };
      check(executor.pack(0, weight.values, weight.bias), 5e-6);
      // Without one the layer has its own again.
      candidate.weights = {executor.pack(0, weight.values)};
      const auto workspace = executor.make_workspace();
      executor.run(*workspace, inputs, candidate);
      CHECK(distance(executor.output(*workspace, 0), by_definition(*net, inputs, q)[0]) < 5e-6);

      const Affine input = affine_from_range(-2.0F, 2.5F, 8, false, false);
      const auto site = static_cast<std::size_t>(net->input_site[0]);
      q.activations[net->input_site[0]] = input;
      candidate.activations[site] = input;
      check(executor.pack(0, weight.values, weight.bias), 5e-6);
      const IntegerForm form = executor.integer_form(0, input);
      if (form == IntegerForm::none) continue;
      const auto packed = executor.pack(0, form, weight);
      REQUIRE(packed);
      ++integer;
      check(packed, 5e-6);
    }
  if (integer_kernels()) CHECK(integer > 20);
}

TEST_CASE("biases reach the codes that layers in integers hand on to each other") {
  Builder b;
  const TensorId x = b.input({2, 16, 7, 7});
  const auto number = [&](float v) { return b.constant(Tensor::of<float>({}, std::vector<float>{v})); };
  const TensorId a = b.op("Relu", {b.conv(x, 16)});
  const TensorId c = b.op("Clip", {b.conv(a, 16, {3, 1, 1, 16}), number(0), number(6)});
  const TensorId sum = b.op("Relu", {b.op("Add", {b.conv(c, 16, {1, 1, 0, 1}), a})});
  const Net net = b.finish({b.conv(b.op("HardSwish", {b.conv(sum, 12)}), 8), sum});
  const auto inputs = inputs_of(*net);
  for (const bool fuse : {true, false}) {
    const Executor executor(net, fuse);
    Quantization q;
    for (const Site& site : net->sites)
      if (site.kind == Site::Kind::activation)
        q.activations[site.id] = affine_from_range(site.tensor == x ? -3.0F : -0.4F, 3.0F, 8, false, false);
    std::vector<std::vector<float>> biases;
    Candidate floating, integer;
    for (const Layer& layer : net->layers) {
      const QuantizedWeight weight = with_bias(*net, layer.id, "int8");
      biases.push_back(weight.bias);
      q.weights[layer.id] = weight.values;
      floating.weights.push_back(executor.pack(layer.id, weight.values, weight.bias));
      const IntegerForm form =
          executor.integer_form(layer.id, q.activations.at(net->input_site[static_cast<std::size_t>(layer.id)]));
      integer.weights.push_back(form == IntegerForm::none ? floating.weights.back()
                                                          : executor.pack(layer.id, form, weight));
    }
    floating.activations = integer.activations = q.on(executor).activations;
    const auto expected = with_additions(net, inputs, q, biases);
    for (const Candidate* candidate : {&floating, &integer}) {
      const auto workspace = executor.make_workspace();
      executor.run(*workspace, inputs, *candidate);
      // A code at the edge between two levels may be one or the other.
      for (std::size_t i = 0; i < 2; ++i) CHECK(distance(executor.output(*workspace, i), expected[i]) < 0.005);
    }
    const auto without = by_definition(*net, inputs, q);
    CHECK(distance(without[0], expected[0]) > 0.05);
  }
}

TEST_CASE("a bias of another size, or for a layer that adds none, is an error that names the layer") {
  const Net net = convolution({3, 1, 1, 1}, true, false);
  const Executor executor(net);
  const std::vector<float> values(16 * 16 * 9), bias(15);
  CHECK_THROWS_WITH(executor.pack(0, values, bias),
                    "bias of layer 'Conv0' has 15 values; the layer has 16 output channels and 1296 output elements a "
                    "sample");
  Builder b;
  const TensorId ids = b.input({2, 3}), table = b.random({7, 4});
  b.net.tensors[static_cast<std::size_t>(ids)].dtype = DType::i64;
  const Net embedding = b.finish({b.layer(b.op("Gather", {table, ids}), ids, table)});
  const Executor lookup(embedding);
  CHECK_FALSE(lookup.takes_bias(0));
  CHECK_THROWS_WITH(lookup.pack(0, std::vector<float>(28), std::vector<float>(4)),
                    "layer 'Gather0' takes no bias: nothing can be added to its output");
}

TEST_CASE("a layer whose bias is computed, so that it is run by reference, takes none besides") {
  Builder b;
  const TensorId x = b.input({2, 4, 5, 5}), w = b.random({6, 4, 3, 3}, 0.2);
  const TensorId bias = b.op("Slice", {b.op("Reshape", {x, b.integers({200})}), b.integers({0}), b.integers({6})});
  const TensorId y = b.layer(b.op("Conv", {x, w, bias}), x, w);
  const Executor executor(b.finish({y}));
  CHECK_FALSE(executor.takes_bias(0));
  CHECK_THROWS_WITH(executor.pack(0, std::vector<float>(6 * 4 * 9), std::vector<float>(6)),
                    Catch::Matchers::EndsWith("takes no bias: nothing can be added to its output"));
}

}  // namespace bitplan::test
