#include <algorithm>

#include "tests/catch.hpp"
#include "tests/model/build_onnx.hpp"
#include "tests/model/data.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

Tensor matrix(std::int64_t rows, std::int64_t columns) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < rows * columns; ++i) values.push_back(static_cast<float>((i * 37) % 101) - 50);
  return Tensor::of({rows, columns}, values);
}

Tensor transposed(const Tensor& t) {
  std::vector<float> values;
  for (std::int64_t c = 0; c < t.shape()[1]; ++c)
    for (std::int64_t r = 0; r < t.shape()[0]; ++r)
      values.push_back(t.values<float>()[static_cast<std::size_t>(r * t.shape()[1] + c)]);
  return Tensor::of({t.shape()[1], t.shape()[0]}, values);
}

/// ids [1, 3] → embedding "wte" [6, 4] → h.
OnnxModel embedding() {
  OnnxModel model;
  model.input("ids", {"1", "3"}, onnx::TensorProto::INT64).constant("wte", matrix(6, 4)).output("y");
  model.node("Gather", {"wte", "ids"}, {"h"});
  return model;
}

void check_tied(const Network& net, bool transposed_weight) {
  REQUIRE(net.layers.size() == 2);
  CHECK(net.weight_site == std::vector<SiteId>{0, 0});
  CHECK(net.site(0).layers == std::vector<LayerId>{0, 1});
  CHECK(net.site(0).elements == 24);
  CHECK(net.layers[1].weight_transposed == transposed_weight);
  CHECK_FALSE(net.layers[0].weight_transposed);
  CHECK(std::any_of(net.notes.begin(), net.notes.end(), [](const auto& n) {
    return n.starts_with("tied embedding: ") && n.ends_with("quantized and stored once");
  }));
}

}  // namespace

TEST_CASE("a head that transposes the embedding matrix is the embedding's site") {
  auto model = embedding();
  model.node("Transpose", {"wte"}, {"w"}, {{"perm", std::vector<std::int64_t>{1, 0}}});
  model.node("MatMul", {"h", "w"}, {"y"});
  check_tied(model.import(), true);
}

TEST_CASE("a head with a stored transpose of the embedding matrix is the embedding's site") {
  auto model = embedding();
  model.constant("head", transposed(matrix(6, 4)));
  model.node("MatMul", {"h", "head"}, {"y"});
  check_tied(model.import(), true);
}

TEST_CASE("a head that reads the embedding matrix itself, or an equal copy, is the embedding's site") {
  for (const bool copy : {false, true}) {
    auto model = embedding();
    if (copy) model.constant("head", matrix(6, 4));
    model.node("Reshape", {"h", "rows"}, {"flat"});
    model.constant("rows", Tensor::of({2}, std::vector<std::int64_t>{3, 4}));
    model.node("Gemm", {"flat", copy ? "head" : "wte"}, {"y"}, {{"transB", std::int64_t{1}}});
    check_tied(model.import(), false);
  }
}

TEST_CASE("a head that differs in one element is a weight of its own") {
  auto head = transposed(matrix(6, 4));
  head.writable<float>()[23] += 1;
  auto model = embedding();
  model.constant("head", head);
  model.node("MatMul", {"h", "head"}, {"y"});
  const auto net = model.import();
  CHECK(net.weight_site == std::vector<SiteId>{0, 1});
}

TEST_CASE("a constant [1, k, n] is a layer's matrix, a stack of matrices stays float with a note") {
  OnnxModel one;
  one.input("x", {"1", "2", "3"}).constant("w", matrix(3, 4).reshaped({1, 3, 4})).output("y");
  one.node("MatMul", {"x", "w"}, {"y"});
  const auto net = one.import();
  REQUIRE(net.layers.size() == 1);
  CHECK(net.layers[0].weight_shape == Shape{3, 4});
  CHECK(net.layers[0].output_shape == Shape{1, 2, 4});
  CHECK(net.layers[0].macs == 24);

  OnnxModel stack;
  stack.input("x", {"2", "2", "3"}).constant("w", matrix(6, 4).reshaped({2, 3, 4})).output("y");
  stack.node("MatMul", {"x", "w"}, {"y"});
  const auto other = stack.import();
  CHECK(other.layers.empty());
  CHECK(other.notes.back() ==
        "the constant 2x3x4 of MatMul 'MatMul.y' is a stack of matrices: no layer, it stays float");

  OnnxModel grows;  // the constant adds a dimension
  grows.input("x", {"2", "3"}).constant("w", matrix(3, 4).reshaped({1, 3, 4})).output("y");
  grows.node("MatMul", {"x", "w"}, {"y"});
  CHECK(grows.import().layers.empty());
}

TEST_CASE("a free sequence dimension of an integer input takes the given length, also where its symbol returns") {
  OnnxModel model;
  model.input("ids", {"batch", "seq"}, onnx::TensorProto::INT64)
      .input("mask", {"batch", "seq"})
      .constant("wte", matrix(6, 4))
      .output("y")
      .output("m");
  model.node("Gather", {"wte", "ids"}, {"y"});
  model.node("Relu", {"mask"}, {"m"});
  const auto net = model.import({.shapes = {}, .batch = 2, .sequence = 5, .attention_sites = false});
  CHECK(net.tensor(net.inputs[0]).shape == Shape{2, 5});
  CHECK(net.tensor(net.inputs[1]).shape == Shape{2, 5});
  CHECK_THROWS_WITH(model.import({.shapes = {}, .batch = 2, .sequence = 0, .attention_sites = false}),
                    Catch::Matchers::Contains("bind its free dimensions"));
}

TEST_CASE("operands of products of two computed tensors are sites where they are asked for, one a tensor") {
  OnnxModel model;
  model.input("x", {"1", "3", "4"}).constant("w", matrix(4, 4)).output("y").output("s");
  model.node("MatMul", {"x", "w"}, {"q"});
  model.node("Transpose", {"q"}, {"qt"}, {{"perm", std::vector<std::int64_t>{0, 2, 1}}});
  model.node("MatMul", {"q", "qt"}, {"p"});
  model.node("MatMul", {"p", "x"}, {"y"});  // x is a layer's input and an operand
  model.node("MatMul", {"p", "p"}, {"s"});  // both operands are one tensor
  CHECK(model.import().sites.size() == 2);
  const auto net = model.import({.shapes = {}, .batch = 1, .sequence = 0, .attention_sites = true});
  std::vector<std::string> names;
  for (const auto& site : net.sites) names.push_back(site.name);
  CHECK(names == std::vector<std::string>{"MatMul.q.weight", "x", "q", "qt", "p"});
  CHECK(net.site(1).layers == std::vector<LayerId>{0});
  CHECK(net.site(1).products.size() == 1);
  CHECK(net.site(4).layers.empty());
  CHECK(net.site(4).products.size() == 2);
  CHECK(net.site(2).products.size() == 1);
}

TEST_CASE("ties and products of real transformer graphs") {
  const auto data = data_folder("");
  if (data.empty() || !std::filesystem::exists(data / "zoo")) return;
  struct Expected {
    const char* file;
    std::size_t ties, products;
    bool tied_embedding;
  };
  for (const auto& e :
       {Expected{"lm/llama.onnx", 12, 12, false}, Expected{"zoo/hf_llama-dynamo18/model.onnx", 4, 4, false},
        Expected{"zoo/hf_bert-ts17/model.onnx", 2, 4, false}, Expected{"zoo/hf_opt-ts17/model.onnx", 2, 4, true},
        Expected{"zoo/hf_gpt2-dynamo18/model.onnx", 0, 4, true},
        Expected{"zoo/hf_vit-dynamo18/model.onnx", 2, 4, false}}) {
    INFO(e.file);
    const auto net = import_onnx(data / e.file, {.shapes = {}, .batch = 1, .sequence = 0, .attention_sites = true});
    CHECK(net.ties.size() == e.ties);
    std::vector<NodeId> products;
    for (const auto& site : net.sites) products.insert(products.end(), site.products.begin(), site.products.end());
    std::sort(products.begin(), products.end());
    products.erase(std::unique(products.begin(), products.end()), products.end());
    CHECK(products.size() == e.products);
    const auto tied = std::any_of(net.notes.begin(), net.notes.end(),
                                  [](const auto& n) { return n.starts_with("tied embedding: "); });
    CHECK(tied == e.tied_embedding);
    CHECK((net.weight_sites() < net.layers.size()) == e.tied_embedding);
  }
}
