#include <algorithm>
#include <filesystem>
#include <vector>

#include "core/files.hpp"
#include "hwmodels/hardware_model.hpp"
#include "tests/catch.hpp"
#include "tests/fixtures.hpp"

using namespace bitplan;

namespace {

std::vector<std::filesystem::path> descriptions() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(BITPLAN_SOURCE_DIR "/configs/hardware"))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

/// ResNet-18 at 224 x 224 as a few kinds of layers: {MACs, weights, inputs, outputs, groups} and how often.
struct Shape18 {
  LayerFacts layer;
  int times;
};
const std::vector<Shape18> kResnet18{
    {{0, "conv1", "Conv", 118013952, 9408, 150528, 802816, 1}, 1},
    {{1, "layer1", "Conv", 115605504, 36864, 200704, 200704, 1}, 4},
    {{2, "layer2", "Conv", 115605504, 147456, 100352, 100352, 1}, 4},
    {{3, "layer3", "Conv", 115605504, 589824, 50176, 50176, 1}, 4},
    {{4, "layer4", "Conv", 115605504, 2359296, 25088, 25088, 1}, 4},
    {{5, "fc", "Gemm", 512000, 512000, 512, 1000, 1}, 1},
};

HardwareCost total(const HardwareModel& model, int w, int a) {
  HardwareCost sum;
  for (const auto& [layer, times] : kResnet18) {
    const auto cost = model.cost(layer, {w, a, layer.weights * w});
    sum.latency_ps += times * cost.latency_ps;
    sum.energy_fj += times * cost.energy_fj;
  }
  return sum;
}

}  // namespace

TEST_CASE("every shipped hardware description loads and opens with a comment") {
  REQUIRE(descriptions().size() >= 3);
  for (const auto& file : descriptions()) {
    INFO(file.filename());
    CHECK(load_hardware(file, test::small_network(1))->has_latency());
    CHECK(read_text(file).starts_with("# "));
  }
}

TEST_CASE("fewer bits never cost more on the shipped machines, unless they must be unpacked") {
  for (const auto& file : descriptions()) {
    INFO(file.filename());
    const auto model = load_hardware(file, test::small_network(1));
    CHECK(total(*model, 8, 8).latency_ps < total(*model, 32, 32).latency_ps);
    if (file.filename() == "mcu.yaml") continue;  // weights below 8 bits save flash and cost time there
    for (int bits = 3; bits <= 8; ++bits) {
      CHECK(total(*model, bits - 1, 8).latency_ps <= total(*model, bits, 8).latency_ps);
      CHECK(total(*model, bits - 1, bits - 1).latency_ps <= total(*model, bits, bits).latency_ps);
      CHECK(total(*model, bits - 1, bits - 1).energy_fj <= total(*model, bits, bits).energy_fj);
    }
  }
}

TEST_CASE("the shipped machines give ResNet-18 plausible times") {
  const auto milliseconds = [](const char* file, int w, int a) {
    const auto model =
        load_hardware(std::filesystem::path(BITPLAN_SOURCE_DIR "/configs/hardware") / file, test::small_network(1));
    return static_cast<double>(total(*model, w, a).latency_ps) * 1e-9;
  };
  // 1.97 GMAC at 0.512 TMAC/s and 11 MB at 12.8 GB/s; on the microcontroller 4.1 ns a MAC
  CHECK(milliseconds("edge_npu.yaml", 8, 8) == Approx(4).margin(1));
  CHECK(milliseconds("edge_npu.yaml", 4, 4) == Approx(1.2).margin(0.4));
  CHECK(milliseconds("mcu.yaml", 8, 8) == Approx(8120).margin(300));
  CHECK(milliseconds("server_gpu.yaml", 8, 8) == Approx(0.1).margin(0.03));
}
