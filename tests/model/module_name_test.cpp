#include "model/import/module_name.hpp"

#include "tests/catch.hpp"
#include "tests/model/build_onnx.hpp"

namespace bitplan {
namespace {

using namespace test;

TEST_CASE("weights that kept their module's name give it, anonymous ones do not") {
  CHECK(module_of_weight("layer1.0.conv1.weight") == "layer1.0.conv1");
  CHECK(module_of_weight("0.weight") == "0");
  CHECK(module_of_weight("onnx::Conv_284") == "");
  CHECK(module_of_weight("val_12") == "");
  CHECK(module_of_weight("284") == "");
  CHECK(module_of_weight(".weight") == "");
  CHECK(module_of_weight("encoder.in_proj_weight") == "");
}

TEST_CASE("node metadata name the module in their last but one entry") {
  CHECK(module_of_scopes("['', 'network', 'network.0', 'linear']") == "network.0");
  CHECK(module_of_scopes("[\"\", \"f\", \"x\"]") == "f");
  CHECK(module_of_scopes("['', 'linear']") == "");
  CHECK(module_of_scopes("['only']") == "");
  CHECK(module_of_scopes("['open, 'x") == "");
  CHECK(module_of_scopes("") == "");
}

TEST_CASE("node names of the TorchScript exporter give the module, repeated prefixes joined") {
  CHECK(module_of_node("/layer1/layer1.0/conv1/Conv") == "layer1.0.conv1");
  CHECK(module_of_node("/features/features.1/conv/conv.0/conv.0.0/Conv") == "features.1.conv.0.0");
  CHECK(module_of_node("/fc/Gemm") == "fc");
  CHECK(module_of_node("/MatMul_3") == "");
  CHECK(module_of_node("Conv_12") == "");
  CHECK(module_of_node("") == "");
  CHECK(module_of_node("/") == "");
}

/// The module found for a MatMul with this weight name, node name and metadata.
LayerNames resolved(const std::string& weight, const std::string& node, const std::string& scopes,
                    const std::string& through = "") {
  OnnxModel model;
  model.input("x", {"1", "2"}).constant(weight, f32({2, 2}, {1, 2, 3, 4}));
  if (!through.empty()) model.node(through, {weight}, {"val_1"});
  auto& made = model.node("MatMul", {"x", through.empty() ? weight : "val_1"}, {"y"}, {}, node);
  if (!scopes.empty()) add_metadata(made, "pkg.torch.onnx.name_scopes", scopes);
  return model.output("y").import().layers.at(0).names;
}

TEST_CASE("modules are resolved by weight first, then metadata, then node name") {
  const std::string scopes = "['', 'f', 'f.1', 'bn']";
  CHECK(resolved("f.0.weight", "/f/f.1/MatMul", scopes).module == "f.0");
  CHECK(resolved("f.0.weight", "/f/f.1/MatMul", scopes).module_source == "initializer");
  CHECK(resolved("val_3", "/g/MatMul", scopes).module == "f.1");
  CHECK(resolved("val_3", "/g/MatMul", scopes).module_source == "metadata");
  CHECK(resolved("val_3", "/g/MatMul", "").module == "g");
  CHECK(resolved("val_3", "/g/MatMul", "").module_source == "node-scope");
  CHECK(resolved("val_3", "node_7", "").module == "");
  CHECK(resolved("val_3", "node_7", "").module_source == "");
}

TEST_CASE(
    "a weight keeps its module through Transpose and Identity; the weight's name stays the one that the node reads") {
  CHECK(resolved("h.weight", "/g/MatMul", "", "Transpose").module == "h");
  CHECK(resolved("h.weight", "/g/MatMul", "", "Identity").module == "h");
  CHECK(resolved("h.weight", "/g/MatMul", "", "Transpose").weight == "val_1");
}

TEST_CASE("site names are unique") {
  OnnxModel model;
  model.input("x", {"1", "2"}).constant("w1", f32({2, 2}, {1, 2, 3, 4})).constant("w2", f32({2, 2}, {1, 2, 3, 4}));
  model.node("MatMul", {"x", "w1"}, {"a"}, {}, "/attn/MatMul");
  model.node("MatMul", {"a", "w2"}, {"/attn/MatMul.weight"}, {}, "/attn/MatMul_1");
  model.node("MatMul", {"/attn/MatMul.weight", "w1"}, {"y"}, {}, "/attn/MatMul_2");
  const Network net = model.output("y").import();
  REQUIRE(net.sites.size() == 5);
  CHECK(net.sites[0].name == "attn.weight");
  CHECK(net.sites[1].name == "/attn/MatMul_1.weight");
  CHECK(net.sites[4].name == "/attn/MatMul.weight");
}

}  // namespace
}  // namespace bitplan
