// The public models and the small real architectures: equal to ONNX Runtime's outputs.
#include <filesystem>
#include <fstream>
#include <iostream>

#include "core/npy.hpp"
#include "model/import_onnx.hpp"
#include "tests/catch.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {
namespace {

namespace fs = std::filesystem;

fs::path data_folder() {
  const char* folder = std::getenv("BITPLAN_DATA");
  return folder ? fs::path(folder) : fs::path(BITPLAN_SOURCE_DIR) / "../shared/data";
}

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  if (fs::is_directory(folder))
    for (const auto& entry : fs::directory_iterator(folder)) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

/// The first images of the evaluation set as the models take them.
Tensor images(std::int64_t count) {
  constexpr float kMean[]{0.485F, 0.456F, 0.406F}, kStd[]{0.229F, 0.224F, 0.225F};
  std::ifstream file(data_folder() / "cifar10/evaluation_1000.bin", std::ios::binary);
  Tensor x(DType::f32, {count, 3, 32, 32});
  const auto out = x.writable<float>();
  std::vector<unsigned char> record(3073);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t pixel = i % 3072;
    if (pixel == 0) file.read(reinterpret_cast<char*>(record.data()), static_cast<std::streamsize>(record.size()));
    const std::size_t channel = pixel / 1024;
    out[i] = (static_cast<float>(record[1 + pixel]) / 255 - kMean[channel]) / kStd[channel];
  }
  return x;
}

}  // namespace

TEST_CASE("logits of the CIFAR models equal ONNX Runtime's", "[cifar10]") {
  std::size_t seen = 0;
  for (const fs::path& file : entries(data_folder() / "cifar10")) {
    if (file.extension() != ".onnx") continue;
    const fs::path logits = file.parent_path() / (file.stem().string() + "_logits32.npy");
    const Tensor expected = read_npy(logits);
    const auto net = std::make_shared<const Network>(import_onnx(file, {{}, 32}));
    for (const bool fuse : {true, false}) {
      const Executor executor(net, fuse);
      const double d = distance(run(executor, {images(32)})[0], expected);
      CAPTURE(file, fuse, d);
      CHECK(d < 1e-4);
      CHECK(executor.workspace_bytes() < executor.naive_workspace_bytes());
    }
    ++seen;
  }
  if (seen == 0)
    WARN("no models below " << data_folder() / "cifar10"
                            << ": skipped");
}

TEST_CASE("outputs of the zoo equal ONNX Runtime's", "[zoo]") {
  int passed = 0, failed = 0, not_taken = 0;
  const fs::path folder = data_folder() / "zoo";
  for (const fs::path& graph : entries(folder)) {
    if (!fs::exists(graph / "model.onnx")) continue;
    CAPTURE(graph);
    auto inputs = read_npz(graph / "inputs.npz");
    const auto outputs = read_npz(graph / "outputs.npz");
    ImportOptions options;
    options.batch = inputs.begin()->second.shape()[0];
    std::shared_ptr<const Network> net;
    try {
      net = std::make_shared<const Network>(import_onnx(graph / "model.onnx", options));
    } catch (const UnsupportedModel&) {  // its operators come with a later importer
      ++not_taken;
      continue;
    }
    std::vector<Tensor> given;
    for (const TensorId id : net->inputs) given.push_back(inputs.at(net->tensor(id).name));
    const auto made = run(Executor(net), given);
    bool equal = true;
    for (std::size_t i = 0; i < made.size(); ++i) {
      const double d = distance(made[i], outputs.at(net->tensor(net->outputs[i]).name));
      CAPTURE(i, d);
      CHECK(d < 1e-4);
      equal = equal && d < 1e-4;
    }
    ++(equal ? passed : failed);
  }
  if (passed + failed + not_taken == 0)
    WARN("no graphs below " << folder << ": skipped");
  else
    std::cout << "zoo " << folder.string() << ": " << passed << " passed, " << failed << " failed, " << not_taken
              << " not taken\n";
}

}  // namespace bitplan::test
