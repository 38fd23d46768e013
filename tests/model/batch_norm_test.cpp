#include <cmath>

#include "core/rng.hpp"
#include "model/channel_normal.hpp"
#include "model/interpret.hpp"
#include "tests/catch.hpp"
#include "tests/model/build_onnx.hpp"

namespace bitplan {
namespace {

using namespace test;

Tensor noise(Shape shape, const std::string& name, float low = -1, float high = 1) {
  Tensor t(DType::f32, std::move(shape));
  Rng rng(1, name);
  for (float& v : t.writable<float>()) v = low + (high - low) * static_cast<float>(rng.unit());
  return t;
}

/// A layer and a BatchNormalization over `channels`; with `tapped` the layer's own output is an output too, which
/// forbids folding.
OnnxModel normalized(const std::string& op, const Tensor& weight, bool bias, const Attributes& attributes,
                     std::int64_t channels, const std::vector<std::string>& input, bool tapped) {
  OnnxModel model;
  model.input("x", input).constant("l.weight", weight);
  if (bias) model.constant("l.bias", noise({channels}, "bias"));
  model.constant("g", noise({channels}, "g")).constant("b", noise({channels}, "b"));
  model.constant("m", noise({channels}, "m")).constant("v", noise({channels}, "v", 0.1f, 2));
  model.node(op, bias ? std::vector<std::string>{"x", "l.weight", "l.bias"} : std::vector<std::string>{"x", "l.weight"},
             {"a"}, attributes, "l");
  model.node("BatchNormalization", {"a", "g", "b", "m", "v"}, {"n"}, {{"epsilon", 1e-3f}}, "bn");
  model.node("Relu", {"n"}, {"y"});
  model.output("y");
  if (tapped) model.output("a");
  return model;
}

void check_folding(const std::string& op, const Tensor& weight, bool bias, const Attributes& attributes,
                   std::int64_t channels, const std::vector<std::string>& input) {
  INFO(op << " bias " << bias);
  const Network folded = normalized(op, weight, bias, attributes, channels, input, false).import();
  const Network plain = normalized(op, weight, bias, attributes, channels, input, true).import();
  REQUIRE(folded.nodes.size() == 2);
  REQUIRE(plain.nodes.size() == 3);
  CHECK(folded.notes == std::vector<std::string>{"folded 1 BatchNormalization nodes"});
  REQUIRE(folded.layers.size() == 1);
  CHECK(folded.layers[0].folded_batch_norm);
  CHECK_FALSE(plain.layers[0].folded_batch_norm);
  CHECK(folded.layers[0].bias != kNoTensor);
  CHECK(folded.layers[0].names.output == "a");
  CHECK(folded.layers[0].names.module == "l");
  CHECK(folded.tensor(folded.layers[0].output).name == "n");
  const std::vector x{noise(folded.tensor(folded.inputs[0]).shape, "x")};
  const Tensor a = interpret(folded, x)[0], b = interpret(plain, x)[0];
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a.values<float>()[i] - b.values<float>()[i]) < 2e-6f);
}

TEST_CASE("folding a BatchNormalization into Conv, ConvTranspose or Gemm keeps the function") {
  for (const bool bias : {false, true}) {
    check_folding("Conv", noise({4, 3, 3, 3}, "w"), bias, {}, 4, {"2", "3", "5", "5"});
    check_folding("Conv", noise({4, 1, 3, 3}, "w"), bias, {{"group", std::int64_t{4}}}, 4, {"2", "4", "5", "5"});
    check_folding("ConvTranspose", noise({3, 4, 2, 2}, "w"), bias, {}, 4, {"2", "3", "5", "5"});
    check_folding("ConvTranspose", noise({4, 3, 2, 2}, "w"), bias, {{"group", std::int64_t{2}}}, 6,
                  {"2", "4", "3", "3"});
    check_folding("Gemm", noise({4, 3}, "w"), bias, {{"transB", std::int64_t{1}}}, 4, {"2", "3"});
    check_folding("Gemm", noise({3, 4}, "w"), bias, {}, 4, {"2", "3"});
  }
}

TEST_CASE("a folded weight is exactly W g / sqrt(v + e)") {
  OnnxModel model;
  model.input("x", {"1", "1", "1", "1"}).constant("w", f32({1, 1, 1, 1}, {3})).constant("g", f32({1}, {2}));
  model.constant("b", f32({1}, {10})).constant("m", f32({1}, {5})).constant("v", f32({1}, {15}));
  model.node("Conv", {"x", "w"}, {"a"});
  model.node("BatchNormalization", {"a", "g", "b", "m", "v"}, {"y"}, {{"epsilon", 1.0f}});
  const Network net = model.output("y").import();
  CHECK(net.tensor(net.layers[0].weight).constant->values<float>()[0] == 1.5f);  // 3 * 2 / sqrt(16)
  CHECK(net.tensor(net.layers[0].bias).constant->values<float>()[0] == 7.5f);    // (0 - 5) * 2 / 4 + 10
}

TEST_CASE("a folded BatchNormalization leaves the mean and deviation of what it made") {
  OnnxModel model;
  model.input("x", {"1", "1", "2", "2"}).constant("w", f32({2, 1, 1, 1}, {3, 4})).constant("g", f32({2}, {2, -3}));
  model.constant("b", f32({2}, {10, -1})).constant("m", f32({2}, {5, 0})).constant("v", f32({2}, {15, 0}));
  model.node("Relu", {"x"}, {"unused"});  // ids of tensors move when it goes
  model.node("Conv", {"x", "w"}, {"a"});
  model.node("BatchNormalization", {"a", "g", "b", "m", "v"}, {"n"}, {{"epsilon", 1.0f}});
  model.node("Identity", {"n"}, {"same"});
  model.node("Relu", {"same"}, {"y"});
  const Network net = model.output("y").import();
  const auto& normal = net.tensor(net.layers[0].output).normal;
  REQUIRE(normal);
  CHECK(normal->mean == std::vector<float>{10, -1});
  CHECK(normal->deviation[0] == Approx(2 * std::sqrt(15.0 / 16)));
  CHECK(normal->deviation[1] == 0);  // constant in training
  CHECK_FALSE(net.tensor(net.outputs[0]).normal);
}

TEST_CASE("statistics that are not finite are not kept") {
  const std::vector<float> one{1}, nan{NAN}, zero{0}, below{-2};
  CHECK(batch_norm_output(one, one, one, 0.0F)->deviation == one);
  CHECK(batch_norm_output(one, one, zero, 0.0F)->deviation == zero);
  CHECK_FALSE(batch_norm_output(nan, one, one, 0.0F));
  CHECK_FALSE(batch_norm_output(one, nan, one, 0.0F));
  CHECK_FALSE(batch_norm_output(one, one, below, 4.0F));
}

TEST_CASE("two layers that share a weight keep their own folded copies") {
  OnnxModel model;
  model.input("x", {"1", "1", "1", "1"}).constant("w", f32({1, 1, 1, 1}, {3})).constant("one", f32({1}, {1}));
  model.constant("two", f32({1}, {2})).constant("zero", f32({1}, {0}));
  model.node("Conv", {"x", "w"}, {"a"}, {}, "c1");
  model.node("Conv", {"x", "w"}, {"b"}, {}, "c2");
  model.node("BatchNormalization", {"a", "two", "zero", "zero", "one"}, {"n"}, {{"epsilon", 0.0f}});
  model.node("Add", {"n", "b"}, {"y"});
  const Network net = model.output("y").import();
  REQUIRE(net.weight_sites() == 2);
  CHECK(net.tensor(net.layers[0].weight).constant->values<float>()[0] == 6);
  CHECK(net.tensor(net.layers[1].weight).constant->values<float>()[0] == 3);
  CHECK(net.layers[0].folded_batch_norm);
  CHECK_FALSE(net.layers[1].folded_batch_norm);
}

TEST_CASE("a BatchNormalization stays when its input has another reader, or no layer makes it") {
  const Network net = normalized("Conv", noise({4, 3, 1, 1}, "w"), false, {}, 4, {"1", "3", "2", "2"}, true).import();
  CHECK(net.nodes[1].op == "BatchNormalization");
  OnnxModel model;
  model.input("x", {"1", "2"}).constant("p", f32({2}, {1, 1}));
  model.node("BatchNormalization", {"x", "p", "p", "p", "p"}, {"y"});
  CHECK(model.output("y").import().nodes.size() == 1);
}

TEST_CASE("weights that a BatchNormalization in training mode standardises fold into a constant; data are refused") {
  for (const int opset : {13, 17}) {
    OnnxModel model(opset);
    model.input("x", {"batch", "1", "3"}).constant("w", f32({1, 2, 1}, {1, 5})).constant("to", i64({3}, {2, 1, 1}));
    model.constant("one", f32({2}, {1, 1})).constant("zero", f32({2}, {0, 0}));
    Attributes training;
    if (opset >= 14) training["training_mode"] = std::int64_t{1};
    const std::vector<std::string> outputs =
        opset >= 14 ? std::vector<std::string>{"n", "m", "v"} : std::vector<std::string>{"n", "m", "v", "sm", "sv"};
    model.node("BatchNormalization", {"w", "one", "zero", "zero", "one"}, outputs, training, "bn");
    model.node("Reshape", {"n", "to"}, {"weight"});
    model.node("Conv", {"x", "weight"}, {"y"});
    const Network net = model.output("y").import();
    REQUIRE(net.nodes.size() == 1);
    CHECK(net.layers.at(0).weight_shape == Shape{2, 1, 1});

    OnnxModel on_data(opset);
    on_data.input("x", {"batch", "2", "3"}).constant("one", f32({2}, {1, 1})).constant("zero", f32({2}, {0, 0}));
    on_data.node("BatchNormalization", {"x", "one", "zero", "zero", "one"}, outputs, training, "bn");
    CHECK_THAT(import_error(on_data.output("n")),
               Catch::Contains("node 'bn' (BatchNormalization, opset " + std::to_string(opset) +
                               "): is in training mode: it normalises by the statistics of the batch; export in eval "
                               "mode"));
  }
}

}  // namespace
}  // namespace bitplan
