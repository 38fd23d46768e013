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

TEST_CASE("opsets outside 11 to 23 are refused") {
  CHECK_THAT(import_error(OnnxModel(10).output("y")),
             EndsWith("the model has opset 10; export it with one from 11 to 23"));
  CHECK_THAT(import_error(OnnxModel(24).output("y")),
             EndsWith("the model has opset 24; export it with one from 11 to 23"));
}

TEST_CASE("operators and attributes newer than the model's opset are refused") {
  const auto error = [](int opset, const char* op, const Attributes& attributes) {
    OnnxModel model(opset);
    model.input("x", {"1", "4"}).constant("shape", i64({2}, {2, 2}));
    model.node(op,
               op == std::string("Reshape") ? std::vector<std::string>{"x", "shape"} : std::vector<std::string>{"x"},
               {"y"}, attributes, "n");
    return import_error(model.output("y"));
  };
  CHECK_THAT(error(18, "Gelu", {}),
             EndsWith("node 'n': Gelu, domain ai.onnx, opset 18: needs opset 20; the model imports 18"));
  CHECK(error(20, "Gelu", {}) == "");
  CHECK_THAT(error(13, "Reshape", {{"allowzero", std::int64_t{0}}}),
             EndsWith("node 'n' (Reshape, opset 13): attribute 'allowzero' needs opset 14"));
  CHECK(error(14, "Reshape", {{"allowzero", std::int64_t{0}}}) == "");
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
  model.node("SequenceErase", {"d"}, {"e"}, {}, "at");
  model.node("DeformConv", {"e"}, {"f"}, {}, "deform");
  model.node("Compress", {"f"}, {"g"}, {}, "cut");
  model.node("Relu", {"g"}, {"y"}, {}, "fine");
  model.output("y");
  const TemporaryFolder folder;
  try {
    import_onnx(model.write(folder.path()));
    FAIL("imported");
  } catch (const UnsupportedModel& e) {
    REQUIRE(e.nodes.size() == 7);
    CHECK(e.nodes[1].op == "FusedGelu");
    CHECK(e.nodes[1].domain == "com.microsoft");
    CHECK(e.nodes[1].opset == 1);
    const std::string what = e.what();
    CHECK_THAT(what, Contains("model.onnx: 7 nodes are not supported:"));
    for (const char* line :
         {"node 'rnn': LSTM, domain ai.onnx, opset 17: recurrent layers are not supported; keep this part out",
          "node 'gelu': FusedGelu, domain com.microsoft, opset 1: operator of ONNX Runtime; export the float model,",
          "node 'quant': QuantizeLinear, domain ai.onnx, opset 17: the model is quantized already; export the float "
          "model",
          "node 'loop': Loop, domain ai.onnx, opset 17: control flow is not supported; export by tracing",
          "node 'at': SequenceErase, domain ai.onnx, opset 17: sequences and optionals are not supported",
          "node 'deform': DeformConv, domain ai.onnx, opset 17: this operator is not supported; `bitplan list "
          "operators`",
          "node 'cut': Compress, domain ai.onnx, opset 17: its output 'g' depends on the data in its shape"})
      CHECK_THAT(what, Contains(std::string("\n  ") + line));
  }
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
  CHECK_THAT(error("MaxPool", {"x"}, {{"kernel_shape", Ints{2, 2}}, {"pads", Ints{0, 2, 0, 0}}}),
             EndsWith("a pad of 2 is not smaller than the kernel of 2"));
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
                                                       "data; shapes must be known when the model is imported; so the "
                                                       "shape of its output 'y' is not known: export with fixed "
                                                       "shapes, or end the model before this node"));

  OnnxModel found;
  found.input("x", {"1", "4"});
  found.node("NonZero", {"x"}, {"y"}, {}, "n");
  CHECK_THAT(import_error(found.output("y")),
             Contains("node 'n' (NonZero, opset 17): the number of its non-zero elements depends on the data") &&
                 Contains("the shape of its output 'y' is not known"));
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
