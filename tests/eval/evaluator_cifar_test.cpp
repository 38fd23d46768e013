#include <cstdlib>

#include "eval/evaluator.hpp"
#include "model/import_onnx.hpp"
#include "tests/catch.hpp"
#include "tests/eval/dataset_files.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

std::string cifar(const std::string& file, const std::string& more) {
  return "{kind: cifar10, file: " + (shared_data() / "cifar10" / file).string() +
         ", mean: [.485, .456, .406], std: [.229, .224, .225]" + more + "}";
}

/// A CIFAR-10 model with its evaluator on the 1000 evaluation images; nothing when the shared data are absent.
struct Measured {
  std::shared_ptr<const Network> net;
  std::shared_ptr<ChoiceTable> choices = std::make_shared<ChoiceTable>();
  std::unique_ptr<Evaluator> evaluator;

  explicit Measured(const std::string& model) {
    const auto file = shared_data() / "cifar10" / (model + ".onnx");
    if (shared_data().empty() || !std::filesystem::exists(file)) {
      WARN("no shared data: skipped");
      return;
    }
    net = std::make_shared<const Network>(import_onnx(file, {.shapes = {}, .batch = 32}));
    EvaluatorSpec spec;
    spec.calibration = spec_of(cifar("calibration_4000.bin", ", samples: 256"));
    spec.holdout = spec_of(cifar("evaluation_1000.bin", ""));
    evaluator = std::make_unique<Evaluator>(net, choices, spec);
  }
  LossSums uniform(const std::string& weights, const std::string& activations) {
    const auto of_weights = ChoiceDefaults::weights(), of_activations = ChoiceDefaults::activations();
    const auto w = choices->add(parse_choice(weights, of_weights, of_weights));
    const auto a = choices->add(parse_choice(activations, of_activations, of_activations));
    Assignment assignment;
    for (const auto& site : net->sites) assignment.push_back(site.kind == Site::Kind::weight ? w : a);
    LossSums total;
    const ChunkRange all{0, evaluator->chunks(Role::holdout)};
    for (const auto& chunk : evaluator->measure(assignment, Role::holdout, all)) total.add(chunk);
    return total;
  }
};

double kl(const LossSums& sums) { return find_metric("kl").value(sums).value; }

}  // namespace

// The expected figures are those of shared/README.md: another program's quantizer on the same models and images.

TEST_CASE("resnet20: float, w8a8 and w4a8 have the published accuracy and kl") {
  Measured model("resnet20");
  if (!model.evaluator) return;
  const auto exact = model.uniform("float", "float");
  CHECK(exact.samples == 1000);
  CHECK(exact.kl == 0);
  CHECK(std::abs(exact.top1 - 915) <= 1);
  const auto w8a8 = model.uniform("int8", "int8");
  CHECK(std::abs(w8a8.top1 - 915) <= 5);
  CHECK(kl(w8a8) == Approx(0.0014).margin(0.0005));
  const auto w4a8 = model.uniform("int4", "int8");
  CHECK(std::abs(w4a8.top1 - 899) <= 10);
  CHECK(kl(w4a8) == Approx(0.1237).epsilon(0.1));
}

TEST_CASE("resnet18: float and w8a8 have the published accuracy and kl") {
  Measured model("resnet18");
  if (!model.evaluator) return;
  CHECK(std::abs(model.uniform("float", "float").top1 - 936) <= 1);
  const auto w8a8 = model.uniform("int8", "int8");
  CHECK(std::abs(w8a8.top1 - 936) <= 5);
  CHECK(kl(w8a8) == Approx(0.0003).margin(0.0002));
}

TEST_CASE("mobilenetv2: float and w8a8 have the published accuracy and kl") {
  Measured model("mobilenetv2");
  if (!model.evaluator) return;
  CHECK(std::abs(model.uniform("float", "float").top1 - 897) <= 1);
  const auto w8a8 = model.uniform("int8", "int8");
  CHECK(std::abs(w8a8.top1 - 904) <= 5);
  CHECK(kl(w8a8) == Approx(0.0010).margin(0.0005));
}
