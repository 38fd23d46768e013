#include "model/liveness.hpp"

#include "model/boost_graph.hpp"
#include "tests/catch.hpp"
#include "tests/model/build_onnx.hpp"

namespace bitplan {
namespace {

using namespace test;

std::vector<std::vector<std::string>> cut_names(const Network& net) {
  std::vector<std::vector<std::string>> names;
  for (const MemoryCut& cut : memory_cuts(net)) {
    names.emplace_back();
    for (const TensorId id : cut.tensors) names.back().push_back(net.tensor(id).name);
    std::sort(names.back().begin(), names.back().end());
  }
  return names;
}

using Names = std::vector<std::vector<std::string>>;

TEST_CASE("a chain holds two tensors at a time") {
  OnnxModel model;
  model.input("x", {"4"});
  model.node("Neg", {"x"}, {"a"});
  model.node("Exp", {"a"}, {"b"});
  model.node("Abs", {"b"}, {"y"});
  CHECK(cut_names(model.output("y").import()) == Names{{"a", "x"}, {"a", "b"}, {"b", "y"}});
}

TEST_CASE("a residual stays alive over its branch, and cuts inside others are dropped") {
  OnnxModel model;
  model.input("x", {"4"});
  model.node("Neg", {"x"}, {"a"});
  model.node("Exp", {"a"}, {"b"});
  model.node("Add", {"x", "b"}, {"y"});
  CHECK(cut_names(model.output("y").import()) == Names{{"a", "b", "x"}, {"b", "x", "y"}});
}

TEST_CASE("views count once, as what they view; outputs live to the end; constants do not count") {
  OnnxModel model;
  model.input("x", {"2", "2"}).constant("s", i64({1}, {4})).constant("c", f32({}, {1}));
  model.node("Neg", {"x"}, {"a"});
  model.node("Reshape", {"a", "s"}, {"v"});
  model.node("Add", {"v", "c"}, {"b"});
  model.node("Exp", {"b"}, {"y"});
  CHECK(cut_names(model.output("y").output("a").import()) == Names{{"a", "x"}, {"a", "b", "y"}});
}

TEST_CASE("a chain of layer, sum and Relu is one tensor in memory, the one that is kept") {
  OnnxModel model;
  model.input("x", {"1", "2", "1", "1"}).constant("w", f32({2, 2, 1, 1}, {1, 2, 3, 4}));
  model.node("Conv", {"x", "w"}, {"c"});
  model.node("Add", {"c", "x"}, {"s"});
  model.node("Relu", {"s"}, {"r"});
  model.node("Exp", {"r"}, {"y"});
  CHECK(cut_names(model.output("y").import()) == Names{{"r", "x"}, {"r", "y"}});
}

TEST_CASE("what a pointwise operator reads stays when others read it too") {
  OnnxModel model;
  model.input("x", {"4"});
  model.node("Neg", {"x"}, {"a"});
  model.node("Relu", {"a"}, {"r"});
  model.node("Sub", {"a", "r"}, {"y"});
  CHECK(cut_names(model.output("y").import()) == Names{{"a", "x"}, {"a", "r", "y"}});
}

TEST_CASE("a topological order keeps a valid order and puts producers first") {
  CHECK(topological_order({{}, {0}, {0}, {1, 2}}) == std::vector<NodeId>{0, 1, 2, 3});
  CHECK(topological_order({{2}, {}, {1}}) == std::vector<NodeId>{1, 2, 0});
  CHECK(topological_order({{1}, {0}}).empty());
  CHECK(topological_order({}).empty());
}

TEST_CASE("the nodes on a cycle are named, also one that reads itself") {
  CHECK(nodes_on_a_cycle({{}, {2, 0}, {1}}) == std::vector<NodeId>{1, 2});
  CHECK(nodes_on_a_cycle({{}, {1}}) == std::vector<NodeId>{1});
  CHECK(nodes_on_a_cycle({{}, {0}}).empty());
}

}  // namespace
}  // namespace bitplan
