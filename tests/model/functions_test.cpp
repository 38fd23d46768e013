#include "core/error.hpp"
#include "model/interpret.hpp"
#include "tests/catch.hpp"
#include "tests/model/build_onnx.hpp"

namespace bitplan {
namespace {

using namespace test;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

onnx::FunctionProto& add_function(OnnxModel& model, const std::string& name, const std::vector<std::string>& inputs,
                                  const std::vector<std::string>& outputs) {
  auto& function = *model.proto.add_functions();
  function.set_name(name), function.set_domain("local");
  for (const auto& i : inputs) function.add_input(i);
  for (const auto& o : outputs) function.add_output(o);
  return function;
}

onnx::NodeProto& add_node(onnx::FunctionProto& function, const std::string& op, const std::vector<std::string>& inputs,
                          const std::string& output, const std::string& domain = "") {
  auto& node = *function.add_node();
  node.set_op_type(op), node.set_domain(domain), node.set_name(op);
  for (const auto& i : inputs) node.add_input(i);
  node.add_output(output);
  return node;
}

void refer(onnx::NodeProto& node, const std::string& attribute, const std::string& parameter) {
  auto& a = *node.add_attribute();
  a.set_name(attribute), a.set_ref_attr_name(parameter), a.set_type(onnx::AttributeProto::FLOAT);
}

onnx::NodeProto& call(OnnxModel& model, const std::string& function, const std::vector<std::string>& inputs,
                      const std::string& output, const std::string& name, const Attributes& attributes = {}) {
  auto& node = model.node(function, inputs, {output}, attributes, name);
  node.set_domain("local");
  return node;
}

std::vector<float> run(const OnnxModel& model, const Tensor& x) {
  const Network net = model.import();
  const auto y = interpret(net, std::vector{x}).at(0);
  return {y.values<float>().begin(), y.values<float>().end()};
}

TEST_CASE("functions of the model are inlined: nested, called twice, with inputs left out and names kept apart") {
  OnnxModel model;
  auto& twice = add_function(model, "Twice", {"a"}, {"b"});
  add_node(twice, "Add", {"a", "a"}, "b");
  auto& outer = add_function(model, "Outer", {"a", "low"}, {"b"});
  add_node(outer, "Twice", {"a"}, "t", "local");
  add_node(outer, "Clip", {"t", "low"}, "c");
  add_node(outer, "Neg", {"c"}, "b");
  model.input("x", {"2"}).constant("zero", f32({}, {0}));
  call(model, "Outer", {"x"}, "t", "one");  // its inner "t" is another tensor
  call(model, "Outer", {"t", "zero"}, "y", "two");
  CHECK(run(model.output("y"), f32({2}, {1, -3})) == std::vector<float>{0, -12});
  const Network net = model.import();
  CHECK(net.nodes.at(0).name == "one/Twice/Add");
  CHECK(net.tensor(net.nodes.at(0).outputs.at(0)).name == "one/t");
}

TEST_CASE("attributes of a call reach the function's nodes; without them the function's default or the operator's") {
  const auto result = [](const Attributes& given, bool with_default) {
    OnnxModel model;
    auto& function = add_function(model, "Leak", {"a"}, {"b"});
    refer(add_node(function, "LeakyRelu", {"a"}, "b"), "alpha", "slope");
    if (with_default) {  // FunctionProto.attribute_proto, which libonnx's class does not know
      onnx::AttributeProto fallback;
      fallback.set_name("slope"), fallback.set_type(onnx::AttributeProto::FLOAT), fallback.set_f(0.25f);
      function.mutable_unknown_fields()->AddLengthDelimited(11, fallback.SerializeAsString());
    } else {
      function.add_attribute("slope");
    }
    model.input("x", {"1"});
    call(model, "Leak", {"x"}, "y", "leak", given);
    return run(model.output("y"), f32({1}, {-4})).at(0);
  };
  CHECK(result({{"slope", 0.5f}}, false) == -2);
  CHECK(result({{"slope", 0.5f}}, true) == -2);
  CHECK(result({}, true) == -1);
  CHECK(result({}, false) == -0.04f);
}

TEST_CASE("a function obeys the opset that it imports") {
  OnnxModel model(18);
  auto& function = add_function(model, "Modern", {"a"}, {"b"});
  add_node(function, "Gelu", {"a"}, "b");
  auto* import = function.add_opset_import();
  import->set_version(20);
  model.input("x", {"1"});
  call(model, "Modern", {"x"}, "y", "m");
  CHECK(run(model.output("y"), f32({1}, {0})).at(0) == 0);
  import->set_version(18);
  CHECK_THAT(import_error(model),
             EndsWith("node 'm/Gelu': Gelu, domain ai.onnx, opset 18: needs opset 20; the model imports 18"));
  import->set_version(99);
  CHECK_THAT(import_error(model), EndsWith("function 'Modern' has opset 99; export it with one from 11 to 23"));
}

TEST_CASE("functions that call themselves, or grow without bound, are refused") {
  OnnxModel cyclic;
  add_node(add_function(cyclic, "A", {"a"}, {"b"}), "B", {"a"}, "b", "local");
  add_node(add_function(cyclic, "B", {"a"}, {"b"}), "A", {"a"}, "b", "local");
  cyclic.input("x", {"1"});
  call(cyclic, "A", {"x"}, "y", "n");
  CHECK_THAT(import_error(cyclic.output("y")), EndsWith("function 'A' calls itself"));

  OnnxModel bomb;  // 2^30 nodes
  add_node(add_function(bomb, "F0", {"a"}, {"b"}), "Neg", {"a"}, "b");
  for (int n = 1; n <= 30; ++n) {
    auto& function = add_function(bomb, "F" + std::to_string(n), {"a"}, {"b"});
    add_node(function, "F" + std::to_string(n - 1), {"a"}, "t", "local");
    add_node(function, "F" + std::to_string(n - 1), {"t"}, "b", "local");
  }
  bomb.input("x", {"1"});
  call(bomb, "F30", {"x"}, "y", "n");
  CHECK_THAT(import_error(bomb.output("y")), Contains("its functions expand to more than 2^"));

  OnnxModel deep;
  add_node(add_function(deep, "F0", {"a"}, {"b"}), "Neg", {"a"}, "b");
  for (int n = 1; n <= 200; ++n)
    add_node(add_function(deep, "F" + std::to_string(n), {"a"}, {"b"}), "F" + std::to_string(n - 1), {"a"}, "b",
             "local");
  deep.input("x", {"1"});
  call(deep, "F200", {"x"}, "y", "n");
  CHECK_THAT(import_error(deep.output("y")), Contains("is nested more than 100 deep"));

  OnnxModel crowded;
  add_node(add_function(crowded, "F", {"a"}, {"b"}), "Neg", {"a"}, "b");
  crowded.input("x", {"1"});
  call(crowded, "F", {"x", "x"}, "y", "n");
  CHECK_THAT(import_error(crowded.output("y")), EndsWith("node 'n' has more inputs or outputs than its function 'F'"));
}

}  // namespace
}  // namespace bitplan
