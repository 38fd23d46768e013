// Speed of the forward pass: samples a second of a model, one line a mode: "NAME SPEED samples/s".
// bench_forward MODEL.onnx [BATCH [THREADS [SECONDS [MODE [CLOCK]]]]]
// MODE: float, fake (weights and activation sites fake-quantized with 8 bits), integer (the same computed in integers)
// or all. Each thread runs the whole network on batches of its own. CLOCK: cpu (CPU time divided by threads: the same
// as wall time on an idle machine, still meaningful on a busy one) or wall. The last line is the peak memory of this
// process, of one mode only when MODE says so. bench/forward_vs_ort.py compares with ONNX Runtime.

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "core/parallel.hpp"
#include "core/rng.hpp"
#include "eval/executor/executor.hpp"
#include "model/import_onnx.hpp"

namespace {

using namespace bitplan;

std::vector<Tensor> random_inputs(const Network& net) {
  std::vector<Tensor> inputs;
  Rng rng(1, "bench_forward");
  for (const TensorId id : net.inputs) {
    inputs.emplace_back(net.tensor(id).dtype, net.tensor(id).shape);  // integers stay 0
    if (inputs.back().dtype() != DType::f32) continue;
    for (float& v : inputs.back().writable<float>()) v = static_cast<float>(rng.normal());
  }
  return inputs;
}

/// 8 bits everywhere: activations in the range that they have, weights by channel, fake-quantized in float or in
/// integers.
Candidate quantized(const Executor& executor, bool integers) {
  const Network& net = executor.network();
  Candidate candidate;
  candidate.activations.resize(net.sites.size());
  candidate.weights.resize(net.layers.size());
  const Executor::Tap tap = [&](SiteId site, std::span<const float> values) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    candidate.activations[static_cast<std::size_t>(site)] = affine_from_range(*low, *high, 8, false, false);
  };
  executor.run(*executor.make_workspace(), random_inputs(net), {}, &tap);
  const auto choice = parse_choice("int8+absmax", ChoiceDefaults::weights(), ChoiceDefaults::weights());
  for (const Layer& layer : net.layers) {
    const auto l = static_cast<std::size_t>(layer.id);
    if (net.input_site[l] < 0) continue;
    const auto view = WeightView::of(layer.weight_shape, layer.channel_axis);
    const auto weight = quantize_weight(net.tensor(layer.weight).constant->values<float>(), view, choice);
    const auto& input = *candidate.activations[static_cast<std::size_t>(net.input_site[l])];
    const IntegerForm form = integers ? executor.integer_form(layer.id, input) : IntegerForm::none;
    if (form != IntegerForm::none) candidate.weights[l] = executor.pack(layer.id, form, weight);
    if (!candidate.weights[l]) candidate.weights[l] = executor.pack(layer.id, weight.values);
  }
  return candidate;
}

struct Load {
  int threads = 1;
  double seconds = 2;
  bool wall = false;
};

double seconds_now(const Load& load) {
  if (!load.wall) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC / load.threads;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double samples_per_second(const Executor& executor, const Candidate& candidate, const Load& load) {
  const Network& net = executor.network();
  const std::vector<Tensor> inputs = random_inputs(net);
  std::vector<Executor::WorkspacePtr> workspaces;
  for (int t = 0; t < load.threads; ++t) {
    workspaces.push_back(executor.make_workspace());
    executor.run(*workspaces.back(), inputs, candidate);
  }
  const auto threads = static_cast<std::size_t>(load.threads);
  std::vector<std::int64_t> runs(threads, 0);
  const double start = seconds_now(load);
  const auto elapsed = [&] { return seconds_now(load) - start; };
  parallel_for(threads, load.threads, [&](std::size_t t, int) {
    while (elapsed() < load.seconds) executor.run(*workspaces[t], inputs, candidate), ++runs[t];
  });
  std::int64_t total = 0;
  for (const std::int64_t r : runs) total += r;
  return static_cast<double>(total * net.batch) / elapsed();
}

/// Most bytes that this process had in memory. Not getrusage's figure, which a process inherits from its parent.
std::int64_t peak_memory() {
  std::ifstream status("/proc/self/status");
  std::string word;
  std::int64_t kilobytes = 0;
  while (status >> word)
    if (word == "VmHWM:") status >> kilobytes;
  return kilobytes * 1024;
}

int bench(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: bench_forward MODEL.onnx [BATCH [THREADS [SECONDS [float|fake|integer|all [cpu|wall]]]]]\n";
    return 2;
  }
  const int batch = argc > 2 ? std::atoi(argv[2]) : 32;
  Load load;
  if (argc > 3) load.threads = std::atoi(argv[3]);
  if (argc > 4) load.seconds = std::atof(argv[4]);
  const std::string mode = argc > 5 ? argv[5] : "all";
  load.wall = argc > 6 && std::string(argv[6]) == "wall";
  const auto network = std::make_shared<const Network>(import_onnx(argv[1], {{}, batch}));
  const Executor executor(network);
  const auto report = [&](const std::string& name, const auto& make_candidate) {
    if (mode == "all" || mode == name)
      std::cout << name << ' ' << samples_per_second(executor, make_candidate(), load) << " samples/s" << std::endl;
  };
  report("float", [] { return Candidate(); });
  report("fake", [&] { return quantized(executor, false); });
  if (integer_kernels()) report("integer", [&] { return quantized(executor, true); });
  std::cout << "workspace " << executor.workspace_bytes() << " bytes, peak memory " << peak_memory() << " bytes"
            << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return bench(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << "bench_forward: " << e.what() << '\n';
    return 1;
  }
}
