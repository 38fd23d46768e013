#include "eval/executor/executor_fusion.hpp"

#include "tests/catch.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {
namespace {

/// The ops of each group that has more than one node.
std::vector<std::string> fused(const Network& net) {
  std::vector<std::string> result;
  for (const Group& group : group_nodes(net, true)) {
    if (group.nodes.size() == 1) continue;
    std::string ops;
    for (const NodeId node : group.nodes) ops += (ops.empty() ? "" : "+") + net.node(node).op;
    result.push_back(ops);
  }
  return result;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a convolution takes the functions and the residual sum behind it") {
  Builder b;
  const TensorId x = b.op("Relu", {b.conv(b.input({1, 8, 6, 6}), 8)});
  const TensorId y = b.op("Relu", {b.op("Add", {b.conv(x, 8), x})});
  CHECK(fused(*b.finish({y})) == Names{"Conv+Relu", "Conv+Add+Relu"});
}

TEST_CASE("of two convolutions that meet in a sum the later one takes it") {
  Builder b;
  const TensorId x = b.input({1, 8, 6, 6});
  const TensorId first = b.conv(x, 8), second = b.conv(x, 8);
  const auto net = b.finish({b.op("Relu", {b.op("Add", {first, second})})});
  const auto groups = group_nodes(*net, true);
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].nodes == std::vector<NodeId>{0});
  CHECK(groups[1].nodes == std::vector<NodeId>{1, 2, 3});
  CHECK(groups[1].output == net->outputs[0]);
}

TEST_CASE("a tensor that others see is not fused away") {
  SECTION("a second reader") {
    Builder b;
    const TensorId c = b.conv(b.input({1, 8, 6, 6}), 8);
    CHECK(fused(*b.finish({b.op("Concat", {b.op("Relu", {c}), c}, {{"axis", std::int64_t{1}}})})).empty());
  }
  SECTION("an output") {
    Builder b;
    const TensorId c = b.conv(b.input({1, 8, 6, 6}), 8);
    CHECK(fused(*b.finish({b.op("Relu", {c}), c})).empty());
  }
}

TEST_CASE("x * sigmoid(x) behind a convolution is one function, other products are not") {
  Builder b;
  const TensorId x = b.input({1, 8, 6, 6});
  const TensorId c = b.conv(x, 8), d = b.conv(c, 8);
  const TensorId swish = b.op("Mul", {d, b.op("Sigmoid", {d})});
  CHECK(fused(*b.finish({b.op("Mul", {swish, x})})) == Names{"Conv+Sigmoid+Mul"});
}

namespace {

TensorId linear(Builder& b, TensorId x, std::int64_t outputs) {
  const TensorId w = b.random({b.net.tensor(x).shape.back(), outputs});
  return b.layer(b.op("MatMul", {x, w}), x, w);
}

TensorId number(Builder& b, float value) { return b.constant(Tensor::of<float>({}, std::vector<float>{value})); }

}  // namespace

TEST_CASE("a MatMul takes the constant row behind it as its bias") {
  Builder b;
  const TensorId x = b.input({2, 3, 8}), row = b.random({1, 1, 5});
  const auto net = b.finish({b.op("Relu", {b.op("Add", {row, linear(b, x, 5)})})});
  const auto groups = group_nodes(*net, true);
  REQUIRE(groups.size() == 1);
  CHECK(groups[0].bias == row);
  CHECK(groups[0].post_ops.size() == 1);
  CHECK(groups[0].output == net->outputs[0]);
}

TEST_CASE("what is no row of the last axis is no bias") {
  Builder b;
  const auto net = b.finish({b.op("Add", {linear(b, b.input({2, 3, 5}), 5), b.random({3, 5})})});
  for (const Group& group : group_nodes(*net, true)) CHECK(group.bias == kNoTensor);
}

TEST_CASE("a product takes Gelu, numbers and residual sums, also behind a Reshape") {
  Builder b;
  const TensorId x = b.input({2, 3, 8});
  const TensorId y = b.op("Mul", {linear(b, x, 8), number(b, 0.5F)});
  const TensorId sum = b.op("Add", {b.op("Reshape", {y, b.integers({6, 8})}), b.op("Tanh", {b.input({6, 8})})});
  const TensorId term = b.op("Add", {b.op("Erf", {b.op("Div", {sum, number(b, 1.41421356F)})}), number(b, 1)});
  const auto net = b.finish({b.op("Mul", {sum, b.op("Mul", {term, number(b, 0.5F)})})});
  CHECK(fused(*net) == Names{"MatMul+Mul+Reshape+Add+Div+Erf+Add+Mul+Mul"});
}

namespace {

void check_equals_definition(const std::shared_ptr<const Network>& net) {
  const auto inputs = random_inputs(*net);
  CHECK(distance(run(Executor(net), inputs)[0], by_definition(*net, inputs)[0]) < 1e-5);
}

}  // namespace

TEST_CASE("a function of one kind with other numbers than the one before it stays outside: oneDNN would repeat those") {
  Builder b;
  const TensorId soft = b.op("Tanh", {b.op("Div", {linear(b, b.input({2, 3, 8}), 5), number(b, 30)})});
  const auto capped = b.finish({b.op("Mul", {soft, number(b, 30)})});
  CHECK(fused(*capped) == Names{"MatMul+Div+Tanh"});
  check_equals_definition(capped);

  Builder c;
  const TensorId moved = c.op("Add", {c.conv(c.input({1, 8, 6, 6}), 8), number(c, 3)});
  const TensorId gate = c.op("Div", {c.op("Clip", {moved, number(c, 0), number(c, 6)}), number(c, 6)});
  const auto hard = c.finish({gate});
  CHECK(fused(*hard) == Names{"Conv+Add+Clip"});
  check_equals_definition(hard);
}

TEST_CASE("a Reshape that nothing follows stays outside") {
  Builder b;
  CHECK(fused(*b.finish({b.op("Reshape", {linear(b, b.input({2, 3, 8}), 8), b.integers({6, 8})})})).empty());
}

TEST_CASE("an activation site inside a pattern keeps it apart") {
  for (const bool site : {false, true}) {
    Builder b;
    const TensorId q = b.input({2, 4, 8});
    const TensorId p =
        b.op("Softmax", {b.op("MatMul", {q, b.op("Transpose", {q}, {{"perm", std::vector<std::int64_t>{0, 2, 1}}})})});
    const TensorId y = b.op("MatMul", {p, q});
    const TensorId w = b.random({4, 2});
    if (site) b.layer(b.op("MatMul", {p, w}), p, w);
    const auto net = b.finish({y});
    CHECK(fused(*net) == (site ? Names{} : Names{"MatMul+Softmax+MatMul"}));
  }
}

TEST_CASE("products of attention read what their sites quantize, fused or not") {
  Builder b;
  const TensorId x = b.input({3, 9, 12});
  const auto head = [&](const Builder::Attributes& order) {
    const TensorId split = b.op("Reshape", {linear(b, x, 12), b.integers({3, 9, 2, 6})});
    return b.op("Transpose", {split}, order);
  };
  const Builder::Attributes rows{{"perm", std::vector<std::int64_t>{0, 2, 1, 3}}},
      columns{{"perm", std::vector<std::int64_t>{0, 2, 3, 1}}};
  const TensorId q = head(rows), k = head(columns), v = head(rows);
  const TensorId scores = b.op("MatMul", {q, k}), p = b.op("Softmax", {scores}), y = b.op("MatMul", {p, v});
  const NodeId first = b.net.tensor(scores).producer, second = b.net.tensor(y).producer;
  Network net = *b.finish({y});
  Quantization quantization;
  const auto add_site = [&](TensorId tensor, NodeId product) {
    Site site{Site::Kind::activation, static_cast<SiteId>(net.sites.size()), tensor, {}, 1, "s", {product}};
    quantization.activations[site.id] = affine_from_range(-1, 1, 4, false, false);
    net.sites.push_back(site);
  };
  add_site(q, first);
  add_site(k, first);
  add_site(v, second);
  SECTION("operands alone leave the pattern whole") {}
  SECTION("the probabilities too") { add_site(p, second); }
  const auto shared = std::make_shared<const Network>(net);
  const auto inputs = random_inputs(net);
  const Tensor expected = by_definition(net, inputs, quantization)[0];
  CHECK(distance(by_definition(net, inputs)[0], expected) > 1e-2);
  for (const bool fuse : {false, true})
    CHECK(distance(run(Executor(shared, fuse), inputs, quantization)[0], expected) < 1e-4);
}

TEST_CASE("without fusion each node is alone and in its place") {
  Builder b;
  const auto net = b.finish({b.op("Relu", {b.conv(b.input({1, 8, 6, 6}), 8)})});
  const auto groups = group_nodes(*net, false);
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].nodes == std::vector<NodeId>{0});
  CHECK(groups[1].nodes == std::vector<NodeId>{1});
}

}  // namespace bitplan::test
