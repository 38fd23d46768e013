// Attention of opset 23 becomes the products that older opsets write.
#include <cmath>

#include "model/interpret.hpp"
#include "model/operator.hpp"
#include "tests/catch.hpp"
#include "tests/model/build_onnx.hpp"

namespace bitplan {
namespace {

using namespace test;
using Names = std::vector<std::string>;

Tensor waves(Shape shape, float step) {
  Tensor t = ramp(std::move(shape));
  for (float& v : t.writable<float>()) v = std::sin(v * step);
  return t;
}

/// q is the input [1, 4, 3, 2]; keys and values of two heads are constants, so that only what depends on q is left.
struct Case {
  std::string name;
  std::map<std::string, Attribute> attributes;
  std::optional<Tensor> mask;
};

TEST_CASE("an Attention of opset 23 becomes products and a softmax that compute what it computes") {
  const Tensor seen = flags({3, 5}, {1, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1});
  const std::vector<Case> cases{{"plain", {}, std::nullopt},
                                {"scale", {{"scale", 0.25f}}, std::nullopt},
                                {"causal", {{"is_causal", std::int64_t{1}}}, std::nullopt},
                                {"bool mask", {{"scale", 1.0f}}, seen},
                                {"float mask and causal", {{"is_causal", std::int64_t{1}}}, waves({1, 4, 3, 5}, 2)}};
  const Tensor q = waves({1, 4, 3, 2}, 1), k = waves({1, 2, 5, 2}, 3), v = waves({1, 2, 5, 3}, 5);
  for (const Case& c : cases) {
    INFO(c.name);
    OnnxModel model(23);
    model.input("q", {"batch", "4", "3", "2"}).constant("k", k).constant("v", v);
    std::vector<std::string> inputs{"q", "k", "v"};
    if (c.mask) inputs.push_back("mask"), model.constant("mask", *c.mask);
    model.node("Attention", inputs, {"y"}, c.attributes, "attention");
    const Network net = model.output("y").import();
    CHECK(left(net).front() == "MatMul");
    CHECK(left(net).back() == "MatMul");
    CHECK(net.nodes.front().name == "attention/scores");

    Node node;
    node.op = "Attention", node.opset = 23, node.attributes = c.attributes, node.outputs = {4};
    std::vector<const Tensor*> values{&q, &k, &v};
    if (c.mask) values.push_back(&*c.mask);
    node.inputs.resize(values.size());
    const Tensor expected = find_operator("Attention")->evaluate(node, values).at(0);
    const Tensor found = interpret(net, std::vector{q}).at(0);
    REQUIRE(found.shape() == expected.shape());
    for (std::size_t i = 0; i < found.size(); ++i)
      CHECK(found.values<float>()[i] == Approx(expected.values<float>()[i]).margin(1e-5));
  }
}

TEST_CASE("query, key and value projections in front of an Attention are tied, of three dimensions or four") {
  for (const bool split : {true, false}) {
    INFO(split);
    OnnxModel model(23);
    model.input("x", {"batch", "3", "4"}).constant("heads", i64({4}, {0, 3, 2, 2}));
    std::vector<std::string> operands;
    for (const std::string name : {"q", "k", "v"}) {
      model.constant(name + ".weight", waves({4, 4}, static_cast<float>(name[0])));
      model.node("MatMul", {"x", name + ".weight"}, {name});
      operands.push_back(split ? name + "4" : name);
      if (!split) continue;
      model.node("Reshape", {name, "heads"}, {name + "3"});
      model.node("Transpose", {name + "3"}, {name + "4"}, {{"perm", Ints{0, 2, 1, 3}}});
    }
    Attributes heads;
    if (!split) heads = {{"q_num_heads", std::int64_t{2}}, {"kv_num_heads", std::int64_t{2}}};
    model.node("Attention", operands, {"y"}, heads);
    const Network net = model.output("y").import({.shapes = {}, .batch = 1, .sequence = 0, .attention_sites = true});
    REQUIRE(net.ties.size() == 1);
    CHECK(net.ties[0].size() == 3);
    CHECK(net.sites.size() == (split ? 3u + 1u + 4u : 3u + 1u));  // q, k, shares and v are operands of products
  }
}

TEST_CASE("an Attention that its operator refuses is refused before it is taken apart") {
  OnnxModel model(23);
  model.input("q", {"1", "2", "3", "4"}).input("k", {"1", "2", "3", "5"});
  model.node("Attention", {"q", "k", "k"}, {"y"}, {}, "attention");
  CHECK_THAT(import_error(model.output("y")),
             Catch::Contains("node 'attention' (Attention, opset 23): queries 1x2x3x4, keys 1x2x3x5"));
}

TEST_CASE("a causal Attention over a sequence whose mask would fill the memory is refused") {
  OnnxModel model(23);
  model.input("q", {"1", "1", "100000", "1"});
  model.node("Attention", {"q", "q", "q"}, {"y"}, {{"is_causal", std::int64_t{1}}}, "attention");
  CHECK_THAT(import_error(model.output("y")),
             Catch::Contains("its causal mask of 100000 by 100000 is too large; shorten the sequence to 8192"));
}

}  // namespace
}  // namespace bitplan
