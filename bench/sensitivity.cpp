// Speed of a sensitivity sweep: every layer's weights at 2, 3, 4, 5, 6, 8 bits and every activation at 4, 6, 8 bits,
// one at a time, all else float. bench_sensitivity MODEL.onnx CIFAR10.bin [IMAGES [THREADS [CACHE_BYTES [CHUNK]]]] Wall
// time, and CPU time of all threads. The time of the sweep holds all that a candidate needs: quantizing and packing
// weights, ranges of activations, forward passes, losses, and the float outputs that they are compared with. Set-up
// (import, primitives, calibration on the same images) is shown apart. bench/sensitivity_vs_ort.py compares with ONNX
// Runtime.

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "core/hash.hpp"
#include "core/yaml.hpp"
#include "eval/evaluator.hpp"
#include "model/import_onnx.hpp"

namespace {

using namespace bitplan;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

struct Settings {
  std::string model, data;
  int images = 256, threads = 1;
  std::size_t cache_bytes = std::size_t{2} << 30;
  int chunk = 32;
};

EvaluatorSpec evaluator_spec(const Settings& s) {
  const std::string text = "{kind: cifar10, file: " + s.data + ", samples: " + std::to_string(s.images) +
                           ", mean: [.485, .456, .406], std: [.229, .224, .225]}";
  EvaluatorSpec spec;
  spec.calibration = spec.selection = DataSpec::from(Yaml::parse_text(text, "bench"));
  spec.threads = s.threads;
  spec.cache_bytes = s.cache_bytes;
  return spec;
}

/// All float, then each site at each choice, in the order in which the search method `sensitivity` asks.
std::vector<Assignment> sweep(const Network& net, ChoiceTable& table) {
  std::vector<ChoiceId> weights, activations;
  ChoiceDefaults w = ChoiceDefaults::weights(), a = ChoiceDefaults::activations();
  for (const char* label : {"int2", "int3", "int4", "int5", "int6", "int8"})
    weights.push_back(table.add(parse_choice(label, w, w)));
  for (const char* label : {"int4", "int6", "int8"}) activations.push_back(table.add(parse_choice(label, a, a)));
  std::vector<Assignment> asked{Assignment(net.sites.size(), kFloat)};
  for (const Site& site : net.sites)
    for (const ChoiceId choice : site.kind == Site::Kind::weight ? weights : activations) {
      asked.emplace_back(net.sites.size(), kFloat);
      asked.back()[static_cast<std::size_t>(site.id)] = choice;
    }
  return asked;
}

int bench(const Settings& s) {
  const double start = now();
  const auto net = std::make_shared<const Network>(import_onnx(s.model, {{}, s.chunk}));
  const auto choices = std::make_shared<ChoiceTable>();
  const std::vector<Assignment> asked = sweep(*net, *choices);
  Evaluator evaluator(net, choices, evaluator_spec(s));
  const double ready = now();
  const std::clock_t cpu = std::clock();
  std::vector<double> losses;
  for (const Assignment& assignment : asked) {
    LossSums total;
    for (const LossSums& sums : evaluator.measure(assignment, Role::selection, {0, evaluator.chunks(Role::selection)}))
      total.add(sums);
    losses.push_back(find_metric("kl").value(total).value);
  }
  const double end = now();
  const PrefixCache::Counts counts = evaluator.prefix_counts();
  std::cout << "sweep " << end - ready << " s, CPU " << static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC
            << " s, for " << asked.size() - 1 << " site-choices of " << s.images << " images; set-up " << ready - start
            << " s; runs " << counts.finds << ", begun half-way " << counts.hits << ", stored " << counts.kept
            << ", evicted " << counts.evicted << ", bytes " << counts.bytes << "; losses "
            << hex(hash64(std::as_bytes(std::span(losses)))) << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: bench_sensitivity MODEL.onnx CIFAR10.bin [IMAGES [THREADS [CACHE_BYTES [CHUNK]]]]\n";
    return 2;
  }
  try {
    Settings s{.model = argv[1], .data = argv[2]};
    if (argc > 3) s.images = std::atoi(argv[3]);
    if (argc > 4) s.threads = std::atoi(argv[4]);
    if (argc > 5) s.cache_bytes = std::stoull(argv[5]);
    if (argc > 6) s.chunk = std::atoi(argv[6]);
    return bench(s);
  } catch (const std::exception& e) {
    std::cerr << "bench_sensitivity: " << e.what() << '\n';
    return 1;
  }
}
