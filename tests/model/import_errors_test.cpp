#include "core/error.hpp"
#include "core/rng.hpp"
#include "tests/catch.hpp"
#include "tests/model/build_onnx.hpp"

namespace bitplan {
namespace {

using namespace test;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

OnnxModel conv_model() {
  OnnxModel model;
  model.input("x", {"1", "2", "4", "4"}).constant("w", ramp({3, 2, 3, 3}));
  model.node("Conv", {"x", "w"}, {"y"}, {}, "conv1");
  model.output("y");
  return model;
}

TEST_CASE("files that are missing, empty, truncated or something else are refused by name") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "m.onnx";
  CHECK_THROWS_WITH(import_onnx(file), Contains("m.onnx: cannot be read: No such file"));
  CHECK_THROWS_AS(import_onnx(file), InputError);
  write_bytes(file, "");
  CHECK_THROWS_WITH(import_onnx(file), EndsWith("m.onnx: the file is empty, not an ONNX model"));
  write_bytes(file, "this is no protobuf message at all");
  CHECK_THROWS_WITH(import_onnx(file), EndsWith("m.onnx: not an ONNX model, or truncated or damaged"));
  const std::string whole = conv_model().bytes();
  write_bytes(file, whole.substr(0, whole.size() - 10));
  CHECK_THROWS_WITH(import_onnx(file), EndsWith("m.onnx: not an ONNX model, or truncated or damaged"));
  OnnxModel empty;
  CHECK_THROWS_WITH(import_onnx(empty.write(folder.path())),
                    EndsWith("model.onnx: not an ONNX model: it has no graph"));
}

TEST_CASE("opsets outside 11 to 21 are refused") {
  CHECK_THAT(import_error(OnnxModel(10).output("y")),
             EndsWith("opset 10 is not supported; export the model with opset 11 to 21"));
  CHECK_THAT(import_error(OnnxModel(22).output("y")),
             EndsWith("opset 22 is not supported; export the model with opset 11 to 21"));
}

TEST_CASE("all unsupported nodes are listed at once, with operator, domain, opset and reason") {
  OnnxModel model;
  auto* microsoft = model.proto.add_opset_import();
  microsoft->set_domain("com.microsoft");
  microsoft->set_version(1);
  model.input("x", {"1", "2"});
  model.node("LSTM", {"x"}, {"a"}, {}, "rnn");
  model.node("FusedGelu", {"a"}, {"b"}, {}, "gelu").set_domain("com.microsoft");
  model.node("QuantizeLinear", {"b"}, {"c"}, {}, "quant");
  model.node("Loop", {"c"}, {"d"}, {}, "loop");
  model.node("SequenceAt", {"d"}, {"e"}, {}, "at");
  model.node("Celu", {"e"}, {"f"}, {}, "celu");
  model.node("Relu", {"f"}, {"y"}, {}, "fine");
  model.output("y");
  const TemporaryFolder folder;
  try {
    import_onnx(model.write(folder.path()));
    FAIL("imported");
  } catch (const UnsupportedModel& e) {
    REQUIRE(e.nodes.size() == 6);
    CHECK(e.nodes[1].op == "FusedGelu");
    CHECK(e.nodes[1].domain == "com.microsoft");
    CHECK(e.nodes[1].opset == 1);
    CHECK(std::string(e.what()) ==
          (folder.path() / "model.onnx").string() +
              ": 6 nodes are not supported:"
              "\n  node 'rnn': LSTM, domain ai.onnx, opset 17: recurrent layers are not supported"
              "\n  node 'gelu': FusedGelu, domain com.microsoft, opset 1: operator of ONNX Runtime; export the model "
              "again "
              "without its optimizations"
              "\n  node 'quant': QuantizeLinear, domain ai.onnx, opset 17: the model is quantized already; bitplan "
              "starts "
              "from the float model"
              "\n  node 'loop': Loop, domain ai.onnx, opset 17: control flow is not supported; export the model by "
              "tracing"
              "\n  node 'at': SequenceAt, domain ai.onnx, opset 17: sequence types are not supported"
              "\n  node 'celu': Celu, domain ai.onnx, opset 17: this operator is not supported");
  }
}

TEST_CASE("model-local functions are refused by name") {
  OnnxModel model;
  auto* function = model.proto.add_functions();
  function->set_name("Block");
  function->set_domain("custom");
  model.input("x", {"1"});
  model.node("Block", {"x"}, {"y"}, {}, "b").set_domain("custom");
  CHECK_THAT(import_error(model.output("y")),
             Contains("node 'b': Block, domain custom, opset 0: model-local functions"));
}

TEST_CASE("graphs with a cycle, a dangling input, a tensor made twice or an unknown output are refused") {
  OnnxModel cyclic;
  cyclic.input("x", {"1"});
  cyclic.node("Add", {"x", "c"}, {"a"}, {}, "one");
  cyclic.node("Neg", {"a"}, {"c"}, {}, "two");
  CHECK_THAT(import_error(cyclic.output("a")), EndsWith("the graph has a cycle through the nodes 'one', 'two'"));

  OnnxModel self;
  self.input("x", {"1"});
  self.node("Add", {"x", "a"}, {"a"}, {}, "me");
  CHECK_THAT(import_error(self.output("a")), EndsWith("the graph has a cycle through the nodes 'me'"));

  OnnxModel dangling;
  dangling.input("x", {"1"});
  dangling.node("Add", {"x", "ghost"}, {"a"}, {}, "n");
  CHECK_THAT(import_error(dangling.output("a")), EndsWith("node 'n' reads tensor 'ghost', which nothing makes"));

  OnnxModel twice;
  twice.input("x", {"1"});
  twice.node("Neg", {"x"}, {"a"}, {}, "n1");
  twice.node("Abs", {"x"}, {"a"}, {}, "n2");
  CHECK_THAT(import_error(twice.output("a")), EndsWith("tensor 'a' is made twice, the second time by node 'n2'"));

  OnnxModel no_output;
  no_output.input("x", {"1"});
  no_output.node("Neg", {"x"}, {"a"});
  CHECK_THAT(import_error(no_output.output("b")), EndsWith("output 'b' is made by no node"));
}

TEST_CASE("nodes with wrong inputs, outputs or attributes are refused by name") {
  const auto error = [](const char* op, const std::vector<std::string>& inputs, const Attributes& attributes,
                        int opset = 17) {
    OnnxModel model(opset);
    model.input("x", {"1", "2", "4", "4"}).constant("w", ramp({3, 2, 3, 3})).constant("i", i64({1}, {9}));
    model.node(op, inputs, {"y"}, attributes, "n");
    return import_error(model.output("y"));
  };
  CHECK_THAT(error("Conv", {"x"}, {}), EndsWith("node 'n' (Conv, opset 17): input 1 is missing; it needs at least 2"));
  CHECK_THAT(error("Relu", {"x", "w"}, {}), EndsWith("node 'n' (Relu, opset 17): has 2 inputs; at most 1 are known"));
  CHECK_THAT(error("Conv", {"x", "w"}, {{"stride", Ints{1}}}),
             EndsWith("attribute 'stride' is not known; known: auto_pad dilations group kernel_shape pads strides"));
  CHECK_THAT(error("Conv", {"x", "w"}, {{"strides", 1.0f}}),
             EndsWith("attribute 'strides' must be a list of integers"));
  CHECK_THAT(error("Conv", {"x", "w"}, {{"strides", Ints{1}}}),
             EndsWith("attribute 'strides' has 1 entries; 2 are needed"));
  CHECK_THAT(error("Conv", {"x", "w"}, {{"strides", Ints{0, 1}}}),
             EndsWith("attribute 'strides' has the entry 0; allowed: 1 to 2^30"));
  CHECK_THAT(error("Conv", {"x", "w"}, {{"group", std::int64_t{2}}}),
             Contains("weight 3x2x3x3 in 2 groups does not fit input 1x2x4x4"));
  CHECK_THAT(error("Conv", {"x", "w"}, {{"dilations", Ints{5, 1}}}),
             Contains("a kernel of extent 11 is larger than the padded input of 4"));
  CHECK_THAT(error("Conv", {"x", "w"}, {{"auto_pad", "BOTH"}}),
             Contains("'auto_pad' is 'BOTH'; known: NOTSET, SAME_UPPER, SAME_LOWER, VALID"));
  CHECK_THAT(error("Reshape", {"x", "i"}, {}), Contains("a tensor of shape 1x2x4x4 cannot be reshaped to 9"));
  CHECK_THAT(error("Add", {"x", "i"}, {}), Contains("inputs have different types: float32 and int64"));
  CHECK_THAT(error("MatMul", {"x", "w"}, {}), Contains("shapes 1x2x4x4 and 3x2x3x3 cannot be multiplied"));
  CHECK_THAT(error("Squeeze", {"x"}, {{"axes", Ints{0}}}),
             EndsWith("'axes' is an input in this opset, not an attribute"));
  CHECK_THAT(error("Squeeze", {"x", "i"}, {}, 11), EndsWith("'axes' is an attribute in this opset, not an input"));
  CHECK_THAT(error("Squeeze", {"x"}, {{"axes", Ints{7}}}, 11), EndsWith("axis 7 is outside a tensor of rank 4"));
  CHECK_THAT(error("Transpose", {"x"}, {{"perm", Ints{0, 0, 1, 2}}}), EndsWith("an axis is given twice"));
  CHECK_THAT(error("Gather", {"i", "i"}, {}), EndsWith("index 9 is outside an axis of 1"));
  CHECK_THAT(error("Clip", {"x"}, {{"min", 0.0f}}), EndsWith("attribute 'min' is not known; known: none"));
}

TEST_CASE("shapes that depend on the data are refused") {
  OnnxModel model;
  model.input("x", {"1", "4"}).input("shape", {"2"}, onnx::TensorProto::INT64);
  model.node("Reshape", {"x", "shape"}, {"y"}, {}, "n");
  CHECK_THAT(import_error(model.output("y")), EndsWith("node 'n' (Reshape, opset 17): its input 'shape' depends on the "
                                                       "data; shapes must be known when the model is imported"));
}

TEST_CASE("absurd sizes are refused before anything is allocated") {
  OnnxModel model;
  model.input("x", {"1"}).constant("big", i64({3}, {1 << 20, 1 << 20, 1}));
  model.node("Expand", {"x", "big"}, {"y"}, {}, "n");
  CHECK_THAT(
      import_error(model.output("y")),
      Contains("node 'n' (Expand, opset 17): its output of shape 1048576x1048576x1 has more than 2^31 elements"));

  OnnxModel declared = conv_model();
  auto& weight = *declared.graph().mutable_initializer(0);
  weight.set_dims(0, std::int64_t{1} << 40);
  CHECK_THAT(import_error(declared),
             Contains("tensor 'w': shape 1099511627776x2x3x3 of float32 needs 79164837199872 bytes, the file has 216"));
  weight.set_dims(0, -3);
  CHECK_THAT(import_error(declared), Contains("tensor 'w': shape -3x2x3x3 has a negative dimension"));
  weight.set_dims(0, std::int64_t{1} << 62);
  CHECK_THAT(import_error(declared), Contains("has too many elements"));
}

TEST_CASE("a model with any byte cut or changed is imported or refused, never more") {
  const TemporaryFolder folder;
  const std::string whole = conv_model().bytes();
  Rng rng(1, "damaged_models");
  int refused = 0;
  for (int i = 0; i < 600; ++i) {
    std::string bytes = whole.substr(0, i % 3 == 0 ? rng.below(whole.size()) : whole.size());
    for (std::uint64_t k = 0; i % 3 != 0 && k <= rng.below(4); ++k)
      bytes[rng.below(bytes.size())] = static_cast<char>(rng.bits());
    write_bytes(folder.path() / "m.onnx", bytes);
    try {
      import_onnx(folder.path() / "m.onnx");
    } catch (const InputError&) {
      ++refused;
    }
  }
  CHECK(refused > 200);
}

}  // namespace
}  // namespace bitplan
