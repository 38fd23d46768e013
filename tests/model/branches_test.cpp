#include "core/error.hpp"
#include "model/interpret.hpp"
#include "tests/catch.hpp"
#include "tests/model/build_onnx.hpp"

namespace bitplan {
namespace {

using namespace test;
using Catch::Matchers::Contains;

onnx::NodeProto& add(onnx::GraphProto& graph, const std::string& op, const std::vector<std::string>& inputs,
                     const std::string& output) {
  auto& node = *graph.add_node();
  node.set_op_type(op), node.set_name(op);
  for (const auto& i : inputs) node.add_input(i);
  node.add_output(output);
  return node;
}

onnx::GraphProto& branch(onnx::NodeProto& node, const std::string& which, const std::string& output) {
  auto& attribute = *node.add_attribute();
  attribute.set_name(which);
  attribute.set_type(onnx::AttributeProto::GRAPH);
  attribute.mutable_g()->add_output()->set_name(output);
  return *attribute.mutable_g();
}

/// y = If(Shape(x)[0] == 2): -(x + x), else relu(x), and what each branch calls its tensors is the same.
OnnxModel by_batch() {
  OnnxModel model;
  model.input("x", {"N", "2"}).constant("zero", Tensor::of<std::int64_t>({}, std::vector<std::int64_t>{0}));
  model.constant("two", Tensor::of<std::int64_t>({}, std::vector<std::int64_t>{2}));
  model.node("Shape", {"x"}, {"shape"});
  model.node("Gather", {"shape", "zero"}, {"n"});
  model.node("Equal", {"n", "two"}, {"is_two"});
  auto& choice = model.node("If", {"is_two"}, {"y"});
  auto& yes = branch(choice, "then_branch", "t");
  add(yes, "Add", {"x", "x"}, "s"), add(yes, "Neg", {"s"}, "t");
  add(branch(choice, "else_branch", "s"), "Relu", {"x"}, "s");
  return model;
}

std::vector<float> run(const OnnxModel& model, const Tensor& x, std::int64_t batch) {
  const Network net = model.import({{}, batch});
  const auto y = interpret(net, std::vector{x}).at(0);
  return {y.values<float>().begin(), y.values<float>().end()};
}

TEST_CASE("an If whose condition follows from shapes becomes the branch that it takes") {
  auto model = by_batch();
  model.output("y");
  CHECK(run(model, f32({2, 2}, {1, -2, 3, -4}), 2) == std::vector<float>{-2, 4, -6, 8});
  CHECK(run(model, f32({1, 2}, {1, -2}), 1) == std::vector<float>{1, 0});
  const Network net = model.import({{}, 2});
  CHECK(net.tensor(net.outputs[0]).name == "y");
}

TEST_CASE("an If inside a branch, constants of a branch and reads of the graph around are resolved") {
  auto model = by_batch();
  const bool yes[] = {true};
  model.constant("yes", Tensor::of<bool>({}, std::span<const bool>(yes)));
  auto& outer = model.node("If", {"yes"}, {"z"});
  auto& taken = branch(outer, "then_branch", "r");
  auto& three = *taken.add_initializer();
  three.set_name("zero"), three.set_data_type(onnx::TensorProto::FLOAT), three.add_float_data(3);
  add(taken, "Mul", {"y", "zero"}, "s");
  auto& inner = add(taken, "If", {"is_two"}, "r");
  add(branch(inner, "then_branch", "q"), "Abs", {"s"}, "q");
  add(branch(inner, "else_branch", "q"), "Neg", {"s"}, "q");
  add(branch(outer, "else_branch", "r"), "LSTM", {"x"}, "r");  // never taken, so never looked at
  model.output("z");
  CHECK(run(model, f32({2, 2}, {1, -2, 3, -4}), 2) == std::vector<float>{6, 12, 18, 24});
  CHECK(run(model, f32({1, 2}, {1, -2}), 1) == std::vector<float>{-3, 0});
}

TEST_CASE("an If whose condition depends on the data is refused, and so are damaged branches") {
  auto model = by_batch();
  model.node("ReduceSum", {"x"}, {"sum"}, {{"keepdims", std::int64_t{0}}});
  model.constant("one", f32({}, {1}));
  model.node("Greater", {"sum", "one"}, {"big"});
  auto& choice = model.node("If", {"big"}, {"z"}, {}, "by_data");
  add(branch(choice, "then_branch", "t"), "Neg", {"y"}, "t");
  add(branch(choice, "else_branch", "t"), "Abs", {"y"}, "t");
  model.output("z");
  CHECK_THROWS_WITH(model.import(), Contains("node 'by_data': If") && Contains("condition depends on the data"));

  auto missing = by_batch();
  missing.output("y");
  missing.graph().mutable_node(3)->mutable_attribute()->DeleteSubrange(1, 1);
  CHECK_THROWS_WITH(missing.import({{}, 1}), Contains("has no else_branch"));
  auto wrong = by_batch();
  wrong.output("y");
  wrong.graph().mutable_node(3)->mutable_attribute(0)->mutable_g()->add_output()->set_name("s");
  CHECK_THROWS_WITH(wrong.import({{}, 2}), Contains("then_branch has 2 outputs, the node 1"));
}

}  // namespace
}  // namespace bitplan
