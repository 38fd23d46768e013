#include "model/import_onnx.hpp"

#include "model/interpret.hpp"
#include "tests/catch.hpp"
#include "tests/model/build_onnx.hpp"

namespace bitplan {
namespace {

using namespace test;
using Catch::Matchers::Contains;

/// y = x W' + b with W [2, 3] transposed, and what a test adds.
OnnxModel linear_model() {
  OnnxModel model;
  model.input("x", {"batch", "3"})
      .constant("fc.weight", f32({2, 3}, {1, 2, 3, 4, 5, 6}))
      .constant("fc.bias", f32({2}, {10, 20}));
  model.node("Gemm", {"x", "fc.weight", "fc.bias"}, {"y"}, {{"transB", std::int64_t{1}}}, "fc");
  return model;
}

std::vector<float> values_of(const Tensor& t) { return {t.values<float>().begin(), t.values<float>().end()}; }

TEST_CASE("a small model is imported with its layer, sites, names and shapes") {
  const Network net = linear_model().output("y").import({.shapes = {}, .batch = 4});
  CHECK(net.opset == 17);
  CHECK(net.ir_version == 8);
  CHECK(net.producer == "test");
  CHECK(net.sha256.size() == 64);
  CHECK(net.batch == 4);
  REQUIRE(net.layers.size() == 1);
  const Layer& fc = net.layers[0];
  CHECK(fc.op == "Gemm");
  CHECK(fc.names.node == "fc");
  CHECK(fc.names.weight == "fc.weight");
  CHECK(fc.names.input == "x");
  CHECK(fc.names.output == "y");
  CHECK(fc.names.module == "fc");
  CHECK(fc.names.module_source == "initializer");
  CHECK(fc.weight_shape == Shape{2, 3});
  CHECK(fc.output_shape == Shape{4, 2});
  CHECK(fc.channel_axis == 0);
  CHECK(fc.weights == 6);
  CHECK(fc.macs == 6);
  CHECK_FALSE(fc.folded_batch_norm);
  CHECK(net.tensor(fc.bias).name == "fc.bias");
  REQUIRE(net.sites.size() == 2);
  CHECK(net.weight_sites() == 1);
  CHECK(net.sites[0].name == "fc.weight");
  CHECK(net.sites[1].name == "x");
  CHECK(net.sites[1].elements == 3);
  CHECK(net.sites[1].kind == Site::Kind::activation);
  CHECK(net.tensor(net.inputs[0]).consumers == std::vector<NodeId>{0});
  CHECK(net.tensor(net.outputs[0]).producer == 0);
}

TEST_CASE("the interpreter runs an imported model and checks what it is given") {
  const Network net = linear_model().output("y").import({.shapes = {}, .batch = 2});
  const auto y = interpret(net, std::vector{f32({2, 3}, {1, 0, 0, 0, 0, 1})});
  CHECK(values_of(y.at(0)) == std::vector<float>{11, 24, 13, 26});
  CHECK_THROWS_WITH(interpret(net, std::vector{f32({1, 3}, {1, 0, 0})}),
                    "input 'x' is 1x3 of float32; needed: 2x3 of float32");
  CHECK_THROWS_WITH(interpret(net, {}), "0 inputs given; the network has 1");
}

TEST_CASE("nodes in any order are sorted; those in a valid order keep it") {
  OnnxModel model;
  model.input("x", {"1"});
  model.node("Neg", {"b"}, {"y"}, {}, "third");
  model.node("Abs", {"x"}, {"a"}, {}, "first");
  model.node("Exp", {"a"}, {"b"}, {}, "second");
  model.node("Sqrt", {"x"}, {"z"}, {}, "other");
  model.output("y").output("z");
  const Network net = model.import();
  REQUIRE(net.nodes.size() == 4);
  CHECK(net.nodes[0].name == "first");
  CHECK(net.nodes[1].name == "second");
  CHECK(net.nodes[2].name == "third");
  CHECK(net.nodes[3].name == "other");
}

TEST_CASE("shape arithmetic folds away, and nodes that no output needs are dropped") {
  OnnxModel model;
  model.input("x", {"batch", "2", "3"})
      .constant("zero", i64({}, {0}))
      .constant("minus", i64({1}, {-1}))
      .constant("axis", i64({1}, {0}));
  model.node("Shape", {"x"}, {"shape"});
  model.node("Gather", {"shape", "zero"}, {"n"});
  model.node("Unsqueeze", {"n", "axis"}, {"n1"});
  model.node("Concat", {"n1", "minus"}, {"target"}, {{"axis", std::int64_t{0}}});
  model.node("Reshape", {"x", "target"}, {"y"});
  model.node("Exp", {"x"}, {"unused"});
  const Network net = model.output("y").import({.shapes = {}, .batch = 5});
  REQUIRE(net.nodes.size() == 1);
  CHECK(net.nodes[0].op == "Reshape");
  CHECK(net.tensor(net.outputs[0]).shape == Shape{5, 6});
  CHECK(net.tensor(net.nodes[0].inputs[1]).constant->integers() == Ints{5, -1});
  CHECK(net.tensors.size() == 3);
  CHECK(net.notes == std::vector<std::string>{"folded 4 nodes whose values are known"});
}

TEST_CASE("Identity, Dropout and Cast to the same type are dropped, and outputs keep their names") {
  OnnxModel model;
  model.input("x", {"2"});
  model.node("Identity", {"x"}, {"a"});
  model.node("Dropout", {"a"}, {"b"});
  model.node("Cast", {"b"}, {"c"}, {{"to", std::int64_t{1}}});
  model.node("Neg", {"c"}, {"d"});
  model.node("Identity", {"d"}, {"y"});
  const Network net = model.output("y").import();
  REQUIRE(net.nodes.size() == 1);
  CHECK(net.nodes[0].op == "Neg");
  CHECK(net.nodes[0].inputs[0] == net.inputs[0]);
  CHECK(net.tensor(net.outputs[0]).name == "y");
}

TEST_CASE("an Identity between an input and an output, or two outputs, stays so that each keeps its name") {
  OnnxModel model;
  model.input("x", {"1"});
  model.node("Identity", {"x"}, {"y"});
  model.node("Neg", {"x"}, {"a"});
  model.node("Identity", {"a"}, {"z"});
  const Network net = model.output("y").output("a").output("z").import();
  REQUIRE(net.outputs.size() == 3);
  CHECK(net.tensor(net.outputs[0]).name == "y");
  CHECK(net.tensor(net.outputs[1]).name == "a");
  CHECK(net.tensor(net.outputs[2]).name == "z");
  const auto outputs = interpret(net, std::vector{f32({1}, {3})});
  CHECK(values_of(outputs[0]) == std::vector<float>{3});
  CHECK(values_of(outputs[1]) == std::vector<float>{-3});
  CHECK(values_of(outputs[2]) == std::vector<float>{-3});
}

TEST_CASE("an output that is known at import is a constant") {
  OnnxModel model;
  model.input("x", {"1"}).constant("c", f32({2}, {1, 2}));
  model.node("Neg", {"c"}, {"y"});
  const Network net = model.output("y").output("c").import();
  CHECK(net.nodes.empty());
  const auto outputs = interpret(net, std::vector{f32({1}, {0})});
  CHECK(values_of(outputs[0]) == std::vector<float>{-1, -2});
  CHECK(values_of(outputs[1]) == std::vector<float>{1, 2});
}

TEST_CASE("layers that share a weight have one weight site, an activation that two layers read is one site") {
  OnnxModel model;
  model.input("x", {"1", "2"}).constant("w", f32({2, 2}, {1, 2, 3, 4}));
  model.node("Identity", {"w"}, {"copy"});
  model.node("MatMul", {"x", "w"}, {"a"}, {}, "first");
  model.node("MatMul", {"x", "copy"}, {"b"}, {}, "second");
  model.node("Add", {"a", "b"}, {"s"});
  model.node("MatMul", {"s", "w"}, {"y"}, {}, "third");
  const Network net = model.output("y").import();
  REQUIRE(net.layers.size() == 3);
  CHECK(net.weight_site == std::vector<SiteId>{0, 0, 0});
  CHECK(net.weight_sites() == 1);
  CHECK(net.sites[0].layers == std::vector<LayerId>{0, 1, 2});
  CHECK(net.input_site == std::vector<SiteId>{1, 1, 2});
  CHECK(net.sites[1].layers == std::vector<LayerId>{0, 1});
  CHECK(net.layers[1].names.weight == "copy");
  CHECK(net.layers[0].channel_axis == 1);
}

TEST_CASE("an embedding is a layer without an activation site; other Gathers are none") {
  OnnxModel model;
  model.input("ids", {"batch", "3"}, onnx::TensorProto::INT64)
      .constant("emb.weight", ramp({5, 2}))
      .constant("i", i64({}, {0}));
  model.node("Gather", {"emb.weight", "ids"}, {"e"}, {}, "/emb/Gather");
  model.node("Gather", {"e", "i"}, {"y"}, {{"axis", std::int64_t{1}}});
  const Network net = model.output("y").import();
  REQUIRE(net.layers.size() == 1);
  CHECK(net.layers[0].op == "Gather");
  CHECK(net.layers[0].macs == 0);
  CHECK(net.layers[0].names.module == "emb");
  CHECK(net.input_site == std::vector<SiteId>{-1});
  CHECK(net.sites.size() == 1);
}

TEST_CASE("multiply-accumulates count one sample: Conv, ConvTranspose, MatMul with leading axes") {
  OnnxModel model;
  model.input("x", {"batch", "4", "8", "8"})
      .constant("w", ramp({6, 2, 3, 3}))
      .constant("t", ramp({6, 1, 2, 2}))
      .constant("m", ramp({16, 5}));
  model.node("Conv", {"x", "w"}, {"a"}, {{"group", std::int64_t{2}}, {"pads", Ints{1, 1, 1, 1}}});
  model.node("ConvTranspose", {"a", "t"}, {"b"}, {{"strides", Ints{2, 2}}});
  model.node("MatMul", {"b", "m"}, {"y"});
  const Network net = model.output("y").import({.shapes = {}, .batch = 3});
  REQUIRE(net.layers.size() == 3);
  CHECK(net.layers[0].macs == 6 * 64 * 18);
  CHECK(net.layers[0].groups == 2);
  CHECK(net.layers[1].macs == 6 * 64 * 4);
  CHECK(net.layers[1].channel_axis == 1);
  CHECK(net.layers[2].macs == 16 * 16 * 5);
}

TEST_CASE("half-precision models are computed in float32") {
  OnnxModel model;
  Tensor half(DType::f16, {1, 2});
  const std::uint16_t bits[] = {0x3c00, 0xc000};  // 1, -2
  std::memcpy(half.mutable_bytes(), bits, sizeof bits);
  model.input("x", {"1", "1"}, onnx::TensorProto::FLOAT16).constant("w", half);
  model.node("MatMul", {"x", "w"}, {"y"});
  const Network net = model.output("y").import();
  CHECK(net.tensor(net.inputs[0]).dtype == DType::f32);
  CHECK(values_of(interpret(net, std::vector{f32({1, 1}, {3})})[0]) == std::vector<float>{3, -6});
  CHECK(net.notes == std::vector<std::string>{"computed 1 half-precision tensors in float32"});
}

TEST_CASE("folding too large a value leaves the node in the graph") {
  OnnxModel model;
  model.input("x", {"1"}).constant("shape", i64({2}, {1 << 14, 1 << 14}));
  model.node("ConstantOfShape", {"shape"}, {"zeros"});
  model.node("ReduceSum", {"zeros"}, {"sum"});
  model.node("Add", {"x", "sum"}, {"y"});
  const Network net = model.output("y").import();
  CHECK(net.nodes.size() == 3);
}

TEST_CASE("linear layers of one input whose results are multiplied are tied: q, k, v and gate, up") {
  OnnxModel model;
  model.input("x", {"1", "4", "2"});
  for (const char* w : {"q.weight", "k.weight", "v.weight", "gate.weight", "up.weight", "head1.weight", "head2.weight"})
    model.constant(w, f32({2, 2}, {1, 2, 3, 4}));
  for (const std::string n : {"q", "k", "v"}) model.node("MatMul", {"x", n + ".weight"}, {n});
  model.node("Transpose", {"k"}, {"kt"}, {{"perm", Ints{0, 2, 1}}});
  model.node("MatMul", {"q", "kt"}, {"scores"});
  model.node("Softmax", {"scores"}, {"p"});
  model.node("MatMul", {"p", "v"}, {"attended"});
  for (const std::string n : {"gate", "up"}) model.node("MatMul", {"attended", n + ".weight"}, {n});
  model.node("Sigmoid", {"gate"}, {"gated"});
  model.node("Mul", {"gated", "up"}, {"hidden"});
  for (const std::string n : {"head1", "head2"}) model.node("MatMul", {"hidden", n + ".weight"}, {n});
  const Network net = model.output("head1").output("head2").import();
  CHECK(net.ties == std::vector<std::vector<SiteId>>{{0, 1, 2}, {3, 4}});
}

}  // namespace
}  // namespace bitplan
