#include "eval/evaluator.hpp"
#include "model/import_onnx.hpp"
#include "tests/catch.hpp"
#include "tests/eval/dataset_files.hpp"

namespace bitplan::test {

TEST_CASE(
    "resnet20: a sweep has the same losses to the bit with any cache and any number of threads, and reuses runs") {
  const auto model = shared_data() / "cifar10" / "resnet20.onnx";
  if (shared_data().empty() || !std::filesystem::exists(model)) {
    WARN("no shared data: skipped");
    return;
  }
  const auto net = std::make_shared<const Network>(import_onnx(model, {.shapes = {}, .batch = 4}));
  const auto choices = std::make_shared<ChoiceTable>();
  const auto weight = ChoiceDefaults::weights(), activation = ChoiceDefaults::activations();
  const ChoiceId w = choices->add(parse_choice("int3", weight, weight));
  const ChoiceId a = choices->add(parse_choice("int4", activation, activation));
  std::vector<std::vector<double>> losses;
  for (const std::size_t cache : {std::size_t{0}, std::size_t{3} << 20, std::size_t{1} << 30}) {
    EvaluatorSpec spec;
    spec.calibration = spec.selection =
        spec_of("{kind: cifar10, file: " + (shared_data() / "cifar10" / "calibration_4000.bin").string() +
                ", samples: 14, mean: [.485, .456, .406], std: [.229, .224, .225]}");
    spec.threads = cache == 0 ? 1 : 2;
    spec.cache_bytes = cache;
    Evaluator evaluator(net, choices, spec);
    auto& row = losses.emplace_back();
    const int chunks = evaluator.chunks(Role::selection);
    for (std::size_t site = 0; site < net->sites.size(); site += 4) {
      Assignment assignment(net->sites.size(), kFloat);
      assignment[site] = net->sites[site].kind == Site::Kind::weight ? w : a;
      for (const LossSums& sums : evaluator.measure(assignment, Role::selection, {0, chunks})) {
        row.push_back(find_metric("kl").value(sums).value);
        row.push_back(find_metric("mse").value(sums).value);
      }
    }
    const PrefixCache::Counts counts = evaluator.prefix_counts();
    CHECK(counts.bytes <= cache / 2);
    CHECK((counts.hits > 0) == (cache > 0));
  }
  CHECK(losses[1] == losses[0]);
  CHECK(losses[2] == losses[0]);
}

}  // namespace bitplan::test
