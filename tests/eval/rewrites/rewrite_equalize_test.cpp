#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "eval/rewrites/channel_grid.hpp"
#include "tests/catch.hpp"
#include "tests/eval/rewrite_networks.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

/// Largest |w| by output or input channel.
std::vector<float> ranges(const Network& net, LayerId id, bool outputs) {
  const ChannelGrid grid(net, net.layer(id));
  const auto most = grid.magnitudes(weight_of(net, id));
  std::vector<float> out(outputs ? grid.outputs() : grid.inputs());
  for (std::size_t i = 0; i < most.size(); ++i) {
    const std::size_t output = i / grid.group_inputs();
    const std::size_t input = output / grid.group_outputs() * grid.group_inputs() + i % grid.group_inputs();
    float& known = out[outputs ? output : input];
    known = std::max(known, most[i]);
  }
  return out;
}

/// Channel by channel, the first layer's output ranges are the second's input ranges.
void check_equal(const Network& net, LayerId first, LayerId second) {
  const auto a = ranges(net, first, true), b = ranges(net, second, false);
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == Approx(b[i]).epsilon(0.005));
}

}  // namespace

TEST_CASE("equalize gives neighbouring convolutions equal channel ranges and keeps the outputs") {
  RewriteBuilder b;
  const TensorId x = b.input({2, 3, 6, 6});
  const TensorId h = b.op("Relu", {b.uneven_conv(x, 8)});
  const TensorId g = b.op("LeakyRelu", {b.uneven_conv(h, 6)}, {{"alpha", 0.2F}});
  const auto net = b.finish({b.uneven_conv(g, 4)});
  const auto result = rewritten(net, "[equalize]", "chain");
  check_equal(*result.network, 0, 1);
  check_equal(*result.network, 1, 2);
  REQUIRE(result.records.size() == 1);
  REQUIRE(result.records[0].folds.size() == 2);
  const RewriteFold& fold = result.records[0].folds[0];
  CHECK(fold.tensor == net->tensor(h).name);
  CHECK(fold.from == std::vector<std::string>{"Conv0"});
  CHECK(fold.constants.size() == 2);  // weight and bias
  CHECK(fold.to == std::vector<LayerId>{1});
  CHECK(fold.caps.empty());
  REQUIRE(result.lines.size() == 1);
  CHECK_THAT(result.lines[0], Catch::Matchers::StartsWith("equalize: 3 layers in 1 chains, ") &&
                                  Catch::Matchers::Contains("largest ratio of channel ranges in a layer") &&
                                  Catch::Matchers::Contains("; float outputs within "));
  CHECK(result.network->notes == result.lines);
  CHECK(net->notes.empty());
}

TEST_CASE("equalize treats convolution, depthwise, convolution as one and a Relu6 between them by channel") {
  RewriteBuilder b;
  const TensorId x = b.input({2, 3, 6, 6});
  const TensorId h = b.relu6(b.uneven_conv(x, 8));
  const TensorId d = b.relu6(b.uneven_conv(h, 8, 8));
  const auto net = b.finish({b.op("Relu", {b.uneven_conv(d, 5)})});
  const auto result = rewritten(net, "[equalize]", "depthwise");
  const Network& made = *result.network;
  check_equal(made, 0, 1);
  check_equal(made, 1, 2);
  const auto a = ranges(made, 0, true), c = ranges(made, 2, false);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == Approx(c[i]).epsilon(0.005));
  CHECK(made.nodes.size() == net->nodes.size() + 2);
  CHECK(std::ranges::count(made.nodes, std::string("Clip"), &Node::op) == 0);
  CHECK(result.records[0].folds[0].caps == std::vector<std::string>{"Clip1"});
  const auto min = std::ranges::find(made.nodes, std::string("Min"), &Node::op);
  REQUIRE(min != made.nodes.end());
  const auto bounds = made.tensor(min->inputs[1]).constant->values<float>();
  const auto& factors = result.records[0].folds[0].factors;
  for (std::size_t i = 0; i < factors.size(); ++i) CHECK(bounds[i] == 0.5F / factors[i]);
  for (std::size_t n = 0; n < made.nodes.size(); ++n)
    for (const TensorId t : made.nodes[n].inputs)
      CHECK(std::ranges::count(made.tensor(t).consumers, static_cast<NodeId>(n)) > 0);
}

TEST_CASE("equalize takes grouped and transposed convolutions, Gemm either way, and MatMul with its bias") {
  SECTION("images") {
    RewriteBuilder b;
    const TensorId x = b.input({2, 4, 5, 5});
    const TensorId h = b.op("Relu", {b.uneven_conv(x, 6, 2)});
    const TensorId w = b.uneven({6, 4, 2, 2});
    const TensorId up = b.layer(b.op("ConvTranspose", {h, w}), h, w);
    const TensorId slope = b.random({4, 1, 1});
    const auto net = b.finish({b.uneven_conv(b.op("PRelu", {up, slope}), 4, 2)});
    const auto result = rewritten(net, "[equalize]", "images");
    check_equal(*result.network, 0, 1);
    check_equal(*result.network, 1, 2);
  }
  SECTION("rows") {
    RewriteBuilder b;
    const TensorId x = b.input({4, 6});
    const TensorId h = b.op("Relu", {b.gemm(x, 8, true)});
    const TensorId g = b.op("Relu", {b.gemm(h, 7, false)});
    const auto net = b.finish({b.matmul(b.op("Relu", {b.matmul(g, 9)}), 3)});
    const auto result = rewritten(net, "[equalize]", "rows");
    for (LayerId id = 0; id < 3; ++id) check_equal(*result.network, id, id + 1);
  }
}

TEST_CASE("equalize leaves alone what has other readers or other functions between") {
  RewriteBuilder b;
  const TensorId x = b.input({2, 3, 6, 6});
  const TensorId h = b.op("Relu", {b.uneven_conv(x, 4)});
  const TensorId left = b.op("Sigmoid", {b.uneven_conv(h, 4)});
  const auto net = b.finish({b.op("Add", {b.uneven_conv(left, 4), h})});
  const auto result = rewritten(net, "[equalize]", "branch");
  CHECK(result.records[0].folds.empty());
  CHECK(result.lines[0].starts_with("equalize: no two layers follow each other directly"));
  for (LayerId id = 0; id < 3; ++id) CHECK(std::ranges::equal(weight_of(*result.network, id), weight_of(*net, id)));
}

TEST_CASE("a bound by channel is taken into the convolution before it and gives what the definition gives") {
  RewriteBuilder b;
  const TensorId x = b.input({2, 3, 9, 9});
  const auto cap = [&](TensorId of) {
    const std::int64_t channels = b.shape(of)[1];
    std::vector<float> row;
    for (std::int64_t c = 0; c < channels; ++c) row.push_back(0.1F * static_cast<float>(c % 5));
    return b.op("Min", {b.op("Relu", {of}), b.constant(Tensor::of<float>({1, channels, 1, 1}, row))});
  };
  const TensorId h = cap(b.conv(x, 19));
  const TensorId d = cap(b.conv(h, 19, {3, 1, 1, 19}));
  const TensorId w = cap(b.conv(b.conv(d, 64), 64));  // Winograd
  const auto net = b.finish({b.op("Add", {b.conv(w, 6), b.conv(h, 6, {1, 1, 0, 1})})});
  const auto inputs = random_inputs(*net);
  const auto expected = interpret(*net, inputs);
  CHECK(distance(run(Executor(net), inputs)[0], expected[0]) < 2e-6);
  CHECK(distance(run(Executor(net, false), inputs)[0], expected[0]) < 2e-6);
}

TEST_CASE("a channel of zeros keeps its factor of 1, and a constant that others read too is copied") {
  RewriteBuilder b;
  const TensorId x = b.input({2, 6});
  const TensorId shared = b.random({4});
  const auto dense = [&](TensorId in, std::int64_t outputs) {
    const TensorId w = b.uneven({b.shape(in).back(), outputs});
    return b.op("Add", {b.layer(b.op("MatMul", {in, w}), in, w), shared});
  };
  const TensorId h = b.op("Relu", {dense(x, 4)});
  auto& first = b.net.tensors[static_cast<std::size_t>(b.net.layers[0].weight)];
  for (std::size_t i = 0; i < 24; i += 4) first.constant->writable<float>()[i + 2] = 0;
  const TensorId y = dense(h, 4);
  const auto net = b.finish({y});
  const auto result = rewritten(net, "[equalize]", "zeros");
  const auto& factors = result.records[0].folds[0].factors;
  CHECK(factors[2] == 1);
  CHECK(factors[0] != 1);
  CHECK(std::ranges::equal(result.network->tensor(shared).constant->values<float>(),
                           net->tensor(shared).constant->values<float>()));
  CHECK(result.network->tensor(shared).consumers.size() == 1);
}

TEST_CASE("a rewrite that moves the float outputs is refused") {
  RewriteBuilder b;  // y = 1e8 (x0 - x0') with x0 = x0': all that is left is rounding
  const TensorId x = b.input({2, 2});
  const TensorId w = b.constant(Tensor::of<float>({2, 2}, std::vector{1e7F, 1e7F, 3e3F, 3e3F}));
  const TensorId v = b.constant(Tensor::of<float>({2, 1}, std::vector{0.3F, -0.3F}));
  const TensorId h = b.layer(b.op("MatMul", {x, w}), x, w);
  const TensorId bias = b.constant(Tensor::of<float>({1, 2}, std::vector{1.0F, 0.0F}));
  const TensorId g = b.op("Add", {h, bias});
  const auto net = b.finish({b.layer(b.op("MatMul", {g, v}), g, v)});
  const RewriteData data("refused", *net, 2);
  CHECK_THROWS_WITH(rewrite_network(net, specs_of("[equalize]"), data.spec, 1),
                    Catch::Matchers::StartsWith("exp.yaml:1:5: r[0]: equalize: the float outputs differ by ") &&
                        Catch::Matchers::EndsWith(" of the largest one; at most 1e-4 is allowed"));
}

TEST_CASE("weights and outputs that are no numbers are errors of the rewrite") {
  RewriteBuilder b;
  const TensorId x = b.input({2, 3, 4, 4});
  const TensorId h = b.op("Relu", {b.uneven_conv(x, 4)});
  const TensorId y = b.uneven_conv(h, 4);
  auto& weight = b.net.tensors[static_cast<std::size_t>(b.net.layers[1].weight)];
  weight.constant->writable<float>()[5] = NAN;
  const auto net = b.finish({y});
  const RewriteData data("nan", *net, 2);
  CHECK_THROWS_WITH(rewrite_network(net, specs_of("[equalize]"), data.spec, 1),
                    Catch::Matchers::EndsWith("equalize: the output 't8' has NaN or infinite values on the first "
                                              "calibration samples"));
}
