// A bias by element of a layer's output, added behind the layer and before all that follows it.

#include <cstring>

#include "core/error.hpp"
#include "eval/executor/prefix_cache.hpp"
#include "quant/weight_quantizer.hpp"
#include "tests/catch.hpp"
#include "tests/eval/biased_networks.hpp"

namespace bitplan::test {
namespace {

using Net = std::shared_ptr<const Network>;

TensorId number(Builder& b, float v) { return b.constant(Tensor::of<float>({}, std::vector<float>{v})); }

TensorId grouped(Builder& b, TensorId x, std::int64_t outputs, Builder::ConvShape shape) {
  const TensorId y = b.conv(x, outputs, shape);
  b.net.layers.back().groups = shape.group;
  return y;
}

TensorId matmul(Builder& b, TensorId x, std::int64_t inputs, std::int64_t outputs) {
  const TensorId w = b.random({inputs, outputs}, 0.2), y = b.layer(b.op("MatMul", {x, w}), x, w);
  b.net.layers.back().channel_axis = 1;
  return y;
}

/// One layer each, with what the float program computes together with it.
std::vector<Net> one_layer() {
  std::vector<Net> all;
  struct Case {
    std::int64_t inputs, outputs, size;
    Builder::ConvShape shape;
  };
  for (const Case& c : {Case{16, 16, 9, {3, 1, 1, 1}},
                        {3, 8, 9, {3, 1, 1, 1}},
                        {12, 20, 9, {3, 1, 1, 1}},
                        {16, 32, 9, {1, 1, 0, 1}},
                        {16, 16, 9, {3, 2, 1, 2}},
                        {16, 16, 9, {3, 1, 1, 16}},
                        {24, 24, 9, {5, 2, 2, 24}},
                        {64, 64, 8, {3, 1, 1, 1}}})
    for (const std::string follows : {"nothing", "Relu", "Clip", "gate", "residual"}) {
      Builder b;
      const TensorId x = b.input({2, c.inputs, c.size, c.size});
      TensorId y = grouped(b, x, c.outputs, c.shape);
      if (follows == "Relu") y = b.op("Relu", {y});
      if (follows == "Clip") y = b.op("Clip", {y, number(b, 0), number(b, 1)});
      if (follows == "gate") y = b.op("Mul", {y, b.op("Sigmoid", {y})});
      if (follows == "residual") {
        if (b.net.tensor(x).shape != b.net.tensor(y).shape) continue;
        y = b.op("Relu", {b.op("Add", {y, x})});
      }
      all.push_back(b.finish({y}));
    }
  for (const bool added : {false, true}) {
    Builder b;
    const TensorId x = b.input({2, 7, 20});
    TensorId y = matmul(b, x, 20, 35);
    if (added) y = b.op("Relu", {b.op("Add", {y, b.random({35})})});
    all.push_back(b.finish({y}));
  }
  return all;
}

/// A chain with a residual sum, a depthwise convolution and tokens.
Net chain(bool all_outputs = false) {
  Builder b;
  const TensorId x = b.input({2, 16, 6, 6});
  const TensorId a = b.conv(x, 16), ra = b.op("Relu", {a});
  const TensorId d = grouped(b, ra, 16, {3, 1, 1, 16}), c = b.op("Clip", {d, number(b, 0), number(b, 6)});
  const TensorId p = grouped(b, c, 16, {1, 1, 0, 1}), sum = b.op("Relu", {b.op("Add", {p, ra})});
  const TensorId tokens = b.op("Transpose", {b.op("Reshape", {sum, b.integers({2, 16, 36})})},
                               {{"perm", std::vector<std::int64_t>{0, 2, 1}}});
  const TensorId m = matmul(b, tokens, 16, 12), y = matmul(b, b.op("Relu", {m}), 12, 5);
  return b.finish(all_outputs ? std::vector{y, a, d, p, m} : std::vector{y, sum});
}

QuantizedWeight with_elements(const Executor& executor, LayerId id, const std::string& choice) {
  const Layer& layer = executor.network().layer(id);
  const auto values = executor.network().tensor(layer.weight).constant->values<float>();
  QuantizedWeight weight =
      quantize_weight(values, WeightView::of(layer.weight_shape, layer.channel_axis), parse_choice(choice, {}, {}));
  for (std::int64_t e = 0; e < executor.element_biases(id); ++e)
    weight.bias.push_back(0.2F * static_cast<float>((3 * e + id) % 7) - 0.6F);
  return weight;
}

std::vector<Tensor> outputs_of(const Executor& executor, const std::vector<Tensor>& inputs, const Candidate& candidate,
                               const PrefixReuse* reuse = nullptr) {
  const auto workspace = executor.make_workspace();
  executor.run(*workspace, inputs, candidate, nullptr, reuse);
  std::vector<Tensor> outputs;
  for (std::size_t i = 0; i < executor.network().outputs.size(); ++i) outputs.push_back(executor.output(*workspace, i));
  return outputs;
}

bool same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(a[i].bytes(), b[i].bytes(), a[i].byte_size()) != 0) return false;
  return a.size() == b.size();
}

}  // namespace

TEST_CASE("a bias by element is added behind the layer, before what follows, in float and in integers") {
  int integer = 0;
  for (const Net& net : one_layer())
    for (const bool fuse : {true, false}) {
      const Executor executor(net, fuse);
      const Layer& layer = net->layers[0];
      CAPTURE(layer.op, to_string(layer.weight_shape), layer.groups, net->nodes.back().op, fuse);
      const Shape& y = net->tensor(layer.output).shape;
      REQUIRE(executor.element_biases(0) == element_count(y) / y[0]);
      const auto inputs = random_inputs(*net);
      const QuantizedWeight weight = with_elements(executor, 0, "int5");
      Quantization q;
      q.weights[0] = weight.values;
      Candidate candidate;
      candidate.activations.resize(net->sites.size());
      const auto check = [&](const std::shared_ptr<const PackedWeight>& packed) {
        candidate.weights = {packed};
        const auto expected = with_additions(net, inputs, q, {weight.bias});
        CHECK(distance(outputs_of(executor, inputs, candidate)[0], expected[0]) < 1e-5);  // Winograd's, cut off at 1
      };
      check(executor.pack(0, weight.values, weight.bias));
      // Without one the layer has its own again.
      candidate.weights = {executor.pack(0, weight.values)};
      CHECK(distance(outputs_of(executor, inputs, candidate)[0], by_definition(*net, inputs, q)[0]) < 5e-6);

      const Affine input = affine_from_range(-2.0F, 2.5F, 8, false, false);
      q.activations[net->input_site[0]] = input;
      candidate.activations[static_cast<std::size_t>(net->input_site[0])] = input;
      check(executor.pack(0, weight.values, weight.bias));
      const IntegerForm form = executor.integer_form(0, input);
      if (form == IntegerForm::none) continue;
      ++integer;
      check(executor.pack(0, form, weight));
    }
  if (integer_kernels()) CHECK(integer > 20);
}

TEST_CASE("biases by element of all layers reach residual sums, tokens and the codes of the layers behind") {
  for (const bool all_outputs : {false, true})
    for (const bool fuse : {true, false}) {
      const Net net = chain(all_outputs);
      const Executor executor(net, fuse);
      const auto inputs = random_inputs(*net);
      Quantization q;
      for (const Site& site : net->sites)
        if (site.kind == Site::Kind::activation)
          q.activations[site.id] = affine_from_range(-3.0F, 3.0F, 8, false, false);
      std::vector<std::vector<float>> biases;
      Candidate floating, integer;
      for (const Layer& layer : net->layers) {
        const QuantizedWeight weight = with_elements(executor, layer.id, "int8");
        biases.push_back(weight.bias);
        q.weights[layer.id] = weight.values;
        floating.weights.push_back(executor.pack(layer.id, weight.values, weight.bias));
        const SiteId site = net->input_site[static_cast<std::size_t>(layer.id)];
        const IntegerForm form = executor.integer_form(layer.id, q.activations.at(site));
        integer.weights.push_back(form == IntegerForm::none ? floating.weights.back()
                                                            : executor.pack(layer.id, form, weight));
      }
      floating.activations = integer.activations = q.on(executor).activations;
      const auto expected = with_additions(net, inputs, q, biases);
      for (const Candidate* candidate : {&floating, &integer}) {
        const auto made = outputs_of(executor, inputs, *candidate);
        // A code at the edge between two levels may be one or the other.
        for (std::size_t i = 0; i < made.size(); ++i) CHECK(distance(made[i], expected[i]) < 0.01);
      }
      CHECK(distance(by_definition(*net, inputs, q)[0], expected[0]) > 0.1);
    }
}

TEST_CASE("candidates with biases by element at some layers do not disturb each other, with prefix reuse or without") {
  const Net net = chain();
  const Executor executor(net);
  PrefixCache cache(std::size_t{1} << 24);
  const auto inputs = random_inputs(*net);
  const auto packed = [&](LayerId layer, bool elements, const std::string& choice) {
    QuantizedWeight weight = with_elements(executor, layer, choice);
    if (!elements) weight.bias.clear();
    return executor.pack(layer, weight.values, weight.bias);
  };
  const auto layers = static_cast<LayerId>(net->layers.size());
  std::vector<Candidate> candidates(std::size_t{1} << layers);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    candidates[i].activations.resize(net->sites.size());
    for (LayerId l = 0; l < layers; ++l) {
      const bool elements = (i >> l & 1) != 0;
      // Most weights are those of an earlier candidate, so that prefixes are shared.
      const std::size_t other = i & ((std::size_t{1} << l) - 1);
      candidates[i].weights.push_back(elements || other == i ? packed(l, elements, "int4")
                                                             : candidates[other].weights[static_cast<std::size_t>(l)]);
    }
  }
  std::uint64_t evaluation = 0;
  for (int round = 0; round < 3; ++round)
    for (const Candidate& candidate : candidates) {
      const PrefixReuse reuse{&cache, 7, ++evaluation};
      CHECK(same_bits(outputs_of(executor, inputs, candidate, &reuse), outputs_of(executor, inputs, candidate)));
    }
  CHECK(cache.counts().hits > 0);
  // Another bias alone makes another candidate.
  Candidate other = candidates.back();
  QuantizedWeight weight = with_elements(executor, 2, "int4");
  for (float& v : weight.bias) v = -v;
  other.weights[2] = executor.pack(2, weight.values, weight.bias);
  const PrefixReuse reuse{&cache, 7, ++evaluation};
  const auto made = outputs_of(executor, inputs, other, &reuse);
  CHECK(same_bits(made, outputs_of(executor, inputs, other)));
  CHECK_FALSE(same_bits(made, outputs_of(executor, inputs, candidates.back())));
}

TEST_CASE("a tap sees what layers read behind a bias by element") {
  const Net net = chain();
  const Executor executor(net);
  const auto inputs = random_inputs(*net);
  const QuantizedWeight weight = with_elements(executor, 3, "int8");
  Candidate candidate;
  candidate.activations.resize(net->sites.size());
  candidate.weights.resize(net->layers.size());
  candidate.weights[3] = executor.pack(3, weight.values, weight.bias);
  std::vector<float> seen;
  const SiteId last = net->input_site[4];
  const Executor::Tap tap = [&](SiteId site, std::span<const float> values) {
    if (site == last) seen.assign(values.begin(), values.end());
  };
  executor.run(*executor.make_workspace(), inputs, candidate, &tap);
  Network seen_from_outside = *net;
  seen_from_outside.outputs = {net->layers[4].input};
  Quantization q;
  q.weights[3] = weight.values;
  const auto expected =
      with_additions(std::make_shared<const Network>(seen_from_outside), inputs, q, {{}, {}, {}, weight.bias})[0];
  CHECK(distance(Tensor::of<float>(expected.shape(), seen), expected) < 5e-6);
}

TEST_CASE("layers whose rows belong to no sample, and those without a bias, take none by element") {
  Builder b;
  const TensorId x = b.input({2, 3, 8}), rows = b.op("Reshape", {x, b.integers({6, 8})}), w = b.random({5, 8});
  const TensorId y = b.layer(b.op("Gemm", {rows, w}, {{"transB", std::int64_t{1}}}), rows, w);
  const TensorId z = b.op("Reshape", {y, b.integers({2, 15})}), v = b.random({4, 15});
  const TensorId out = b.layer(b.op("Gemm", {z, v}, {{"transB", std::int64_t{1}}}), z, v);
  const Executor executor(b.finish({out}));
  CHECK(executor.takes_bias(0));
  CHECK(executor.element_biases(0) == 0);
  CHECK(executor.element_biases(1) == 4);
  CHECK_THROWS_WITH(
      executor.pack(0, std::vector<float>(40), std::vector<float>(15)),
      "bias of layer '" + executor.network().layer(0).names.node + "' has 15 values; the layer has 5 output channels");
  Builder e;
  const TensorId ids = e.input({2, 3}), table = e.random({7, 4});
  e.net.tensors[static_cast<std::size_t>(ids)].dtype = DType::i64;
  const Executor embedding(e.finish({e.layer(e.op("Gather", {table, ids}), ids, table)}));
  CHECK(embedding.element_biases(0) == 0);
}

}  // namespace bitplan::test
