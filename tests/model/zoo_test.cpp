#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/npy.hpp"
#include "model/import_onnx.hpp"
#include "model/interpret.hpp"
#include "model/liveness.hpp"
#include "tests/model/data.hpp"

namespace bitplan {
namespace {

using namespace test;

/// Largest difference relative to the largest expected value.
double relative_error(const Tensor& found, const Tensor& expected) {
  REQUIRE(found.shape() == expected.shape());
  double top = 0, error = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double a = static_cast<double>(found.values<float>()[i]),
                 b = static_cast<double>(expected.values<float>()[i]);
    top = std::max(top, std::abs(b));
    error = std::max(error, std::isnan(a) ? INFINITY : std::abs(a - b));
  }
  return error / top;
}

std::vector<std::filesystem::path> folders_in(const std::filesystem::path& root) {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(root))
    if (std::filesystem::exists(entry.path() / "model.onnx")) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  return folders;
}

TEST_CASE("interpreted graphs of the zoo give ONNX Runtime's outputs", "[zoo]") {
  const auto root = data_folder("zoo");
  if (root.empty()) return;
  int passed = 0, failed = 0, not_taken = 0;
  for (const auto& folder : folders_in(root)) {
    const auto inputs = read_npz(folder / "inputs.npz"), outputs = read_npz(folder / "outputs.npz");
    ImportOptions options;
    for (const auto& [name, value] : inputs) options.batch = value.shape().at(0);
    try {
      const Network net = import_onnx(folder / "model.onnx", options);
      std::vector<Tensor> given;
      for (const TensorId id : net.inputs) given.push_back(inputs.at(net.tensor(id).name));
      const auto found = interpret(net, given);
      bool good = true;
      for (std::size_t i = 0; i < found.size(); ++i)
        good = good && relative_error(found[i], outputs.at(net.tensor(net.outputs[i]).name)) < 1e-4;
      (good ? passed : failed) += 1;
      CHECK(good);
      for (const Node& node : net.nodes) {  // what import promises
        CHECK(node.op != "Constant");
        CHECK(node.op != "Identity");
      }
      CHECK_FALSE(memory_cuts(net).empty());
    } catch (const UnsupportedModel& e) {
      ++not_taken;
      WARN(e.what());
    }
  }
  std::cout << "zoo " << root.filename().string() << ": " << passed << " passed, " << failed << " failed, " << not_taken
            << " not taken\n";
}

TEST_CASE("the public CIFAR models have the layers of the independent layer tables", "[zoo]") {
  const auto root = data_folder("cifar10"), peers = data_folder("peers");
  if (root.empty() || peers.empty()) return;
  const auto tables = nlohmann::json::parse(std::ifstream(peers / "layer_tables.json"));
  for (const auto& [model, table] : tables.items()) {
    const auto file = root / (model + ".onnx");
    if (!std::filesystem::exists(file)) continue;
    INFO(model);
    const Network net = import_onnx(file);
    std::int64_t weights = 0, macs = 0;
    REQUIRE(net.layers.size() == table.at("layers").size());
    for (const Layer& layer : net.layers) {
      const auto& row = table.at("layers").at(static_cast<std::size_t>(layer.id));
      INFO(layer.names.node);
      CHECK(layer.names.node == row.at("onnx_node"));
      CHECK(layer.names.weight == row.at("onnx_weight"));
      CHECK(layer.names.module == row.at("layer"));
      const bool depthwise = layer.op == "Conv" && layer.groups > 1 && layer.groups == layer.weight_shape[0];
      CHECK((depthwise ? "DWConv" : layer.op) == row.at("op"));
      CHECK(layer.weight_shape == row.at("shape").get<Shape>());
      CHECK(layer.weights == row.at("w_numel"));
      CHECK(layer.macs == row.at("macs"));
      weights += layer.weights, macs += layer.macs;
    }
    CHECK(weights == table.at("w_numel"));
    CHECK(macs == table.at("macs"));
    CHECK(net.weight_sites() == net.layers.size());
    for (std::size_t i = 0; i < net.layers.size(); ++i) CHECK(net.weight_site[i] == static_cast<SiteId>(i));
    CHECK(net.ties.empty());
  }
}

TEST_CASE("the interpreted CIFAR models give the stored logits", "[zoo]") {
  const auto root = data_folder("cifar10");
  if (root.empty()) return;
  constexpr std::int64_t kImages = 2;
  const double mean[] = {0.485, 0.456, 0.406}, std[] = {0.229, 0.224, 0.225};
  std::ifstream in(root / "evaluation_1000.bin", std::ios::binary);
  Tensor x(DType::f32, {kImages, 3, 32, 32});
  float* to = x.writable<float>().data();
  for (std::int64_t i = 0; i < kImages; ++i) {
    std::vector<char> record(3073);
    REQUIRE(in.read(record.data(), 3073));
    for (std::size_t k = 0; k < 3072; ++k)
      *to++ = static_cast<float>((static_cast<unsigned char>(record[k + 1]) / 255.0 - mean[k / 1024]) / std[k / 1024]);
  }
  for (const char* model : {"resnet20", "resnet18", "mobilenetv2"}) {
    INFO(model);
    const Network net = import_onnx(root / (std::string(model) + ".onnx"), {.shapes = {}, .batch = kImages});
    const Tensor logits = read_npy(root / (std::string(model) + "_logits32.npy"));
    const auto begin = logits.values<float>().begin();
    const Tensor expected = Tensor::of<float>({kImages, 10}, std::vector<float>(begin, begin + kImages * 10));
    CHECK(relative_error(interpret(net, std::vector{x}).at(0), expected) < 1e-5);
  }
}

}  // namespace
}  // namespace bitplan
