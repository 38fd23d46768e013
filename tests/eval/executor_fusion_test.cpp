#include "eval/executor_fusion.hpp"

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

TEST_CASE("without fusion each node is alone and in its place") {
  Builder b;
  const auto net = b.finish({b.op("Relu", {b.conv(b.input({1, 8, 6, 6}), 8)})});
  const auto groups = group_nodes(*net, false);
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].nodes == std::vector<NodeId>{0});
  CHECK(groups[1].nodes == std::vector<NodeId>{1});
}

}  // namespace bitplan::test
