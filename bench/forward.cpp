// Speed of the forward pass: samples a second of a model, float and with fake-quantized activations.
// bench_forward MODEL.onnx [BATCH [THREADS [SECONDS]]]
// Each thread runs the whole network on batches of its own. Time is CPU time divided by threads: the same as wall time
// on an idle machine, still meaningful on a busy one. bench/forward_vs_ort.py compares with ONNX Runtime.

#include <cstdlib>
#include <ctime>
#include <iostream>
#include <memory>
#include <vector>

#include "core/parallel.hpp"
#include "core/rng.hpp"
#include "eval/executor.hpp"
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

/// 8-bit activations everywhere; the range does not matter for the speed.
Candidate quantized(const Network& net) {
  Candidate candidate;
  candidate.activations.resize(net.sites.size());
  for (const Site& site : net.sites)
    if (site.kind == Site::Kind::activation)
      candidate.activations[static_cast<std::size_t>(site.id)] = affine_from_range(-4, 4, 8, false, false);
  return candidate;
}

double samples_per_second(const Executor& executor, const Candidate& candidate, int threads, double seconds) {
  const Network& net = executor.network();
  const std::vector<Tensor> inputs = random_inputs(net);
  std::vector<Executor::WorkspacePtr> workspaces;
  for (int t = 0; t < threads; ++t) {
    workspaces.push_back(executor.make_workspace());
    executor.run(*workspaces.back(), inputs, candidate);
  }
  std::vector<std::int64_t> runs(static_cast<std::size_t>(threads), 0);
  const std::clock_t start = std::clock();
  const auto elapsed = [&] { return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / threads; };
  parallel_for(static_cast<std::size_t>(threads), threads, [&](std::size_t t, int) {
    while (elapsed() < seconds) executor.run(*workspaces[t], inputs, candidate), ++runs[t];
  });
  std::int64_t total = 0;
  for (const std::int64_t r : runs) total += r;
  return static_cast<double>(total * net.batch) / elapsed();
}

int bench(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: bench_forward MODEL.onnx [BATCH [THREADS [SECONDS]]]\n";
    return 2;
  }
  const int batch = argc > 2 ? std::atoi(argv[2]) : 32, threads = argc > 3 ? std::atoi(argv[3]) : 1;
  const double seconds = argc > 4 ? std::atof(argv[4]) : 2;
  const auto network = std::make_shared<const Network>(import_onnx(argv[1], {{}, batch}));
  const Executor executor(network);
  const double plain = samples_per_second(executor, {}, threads, seconds);
  const double fake = samples_per_second(executor, quantized(*network), threads, seconds);
  std::cout << "float " << plain << " samples/s, quantized activations " << fake << " samples/s, time ratio "
            << plain / fake << ", workspace " << executor.workspace_bytes() << " bytes, never reused "
            << executor.naive_workspace_bytes() << " bytes\n";
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
