#include "apps/study.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "core/log.hpp"
#include "eval/data/dataset_tokens.hpp"

namespace bitplan {

Problem Study::problem(const Archive& archive) const {
  return {*network, *choices, space, *costs, constraints, archive, experiment.seed};
}

std::filesystem::path Study::prepared_weights() const {
  const auto folder = experiment.output / "weights";
  return std::filesystem::is_directory(folder) ? folder : std::filesystem::path();
}

std::shared_ptr<Evaluator> Study::make_evaluator(const std::filesystem::path& prepared) const {
  return evaluator_with(choices, prepared);
}

std::pair<std::shared_ptr<Evaluator>, Assignment> Study::make_evaluator_of(
    const Assignment& assignment, const std::filesystem::path& prepared) const {
  auto known = std::make_shared<ChoiceTable>();
  Assignment renumbered;
  for (const ChoiceId choice : assignment) renumbered.push_back(known->add((*choices)[choice]));
  return {evaluator_with(std::move(known), prepared), std::move(renumbered)};
}

std::shared_ptr<Evaluator> Study::evaluator_with(std::shared_ptr<const ChoiceTable> known,
                                                 const std::filesystem::path& prepared) const {
  const EvaluatorSpec spec{.calibration = experiment.calibration,
                           .selection = experiment.selection,
                           .holdout = experiment.holdout,
                           .observer = experiment.space.observer,
                           .threads = experiment.run.threads,
                           .arithmetic = experiment.run.arithmetic,
                           .cache_bytes = experiment.run.cache_bytes,
                           .reference_bytes = experiment.run.reference_bytes,
                           .prepared = prepared};
  auto evaluator = std::make_shared<Evaluator>(network, std::move(known), spec);
  if (const auto why = evaluator->refusal(*experiment.objective, Role::selection))
    experiment.document.at("objective").fail(std::string(experiment.objective->name) + " cannot be measured: " + *why);
  return evaluator;
}

namespace {

/// A free sequence dimension of the model takes the length of the selection data's windows; other roles must have the
/// same, which opening them checks.
void bind_sequence(Experiment& experiment) {
  if (experiment.selection.kind != "tokens") return;
  try {
    experiment.import.sequence = token_window(experiment.selection);
  } catch (const InputError& e) {
    throw InputError(experiment.selection.place + ": " + e.what());
  }
}

void check_attention(const Experiment& experiment, const Network& network) {
  const bool found = std::any_of(network.sites.begin(), network.sites.end(),
                                 [](const Site& site) { return !site.products.empty(); });
  if (experiment.space.attention && !found)
    experiment.space.node.at("activations").at("attention").fail("the network has no product of two computed tensors");
}

}  // namespace

Study make_study(Experiment experiment, const std::string& uniform, const std::vector<Choice>& plan_choices) {
  bind_sequence(experiment);
  auto network = std::make_shared<const Network>(import_onnx(experiment.model, experiment.import));
  check_attention(experiment, *network);
  if (network->layers.empty())
    throw InputError(network->file + ": has no layer with constant weights, nothing can be quantized");
  auto rewritten = rewrite_network(network, experiment.rewrites, experiment.calibration, experiment.run.threads);
  network = rewritten.network;
  for (const auto& line : rewritten.lines) log_info(line);
  auto choices = std::make_shared<ChoiceTable>();
  auto space = make_space(experiment.space, *network, *choices);
  auto uniform8 = uniform_assignment("w8a8", experiment.space, *network, *choices);
  Assignment requested;
  if (!uniform.empty()) requested = uniform_assignment(uniform, experiment.space, *network, *choices);
  if (!uniform.empty() && uniform != "float" && !experiment.space.rules.empty())
    log_info("all layers are " + uniform + ": space.rules hold for searches and for evaluate --each");
  for (const auto& choice : plan_choices) choices->add(choice);
  // The table is complete from here on: costs and evaluators index it.
  auto costs = std::make_shared<const CostModel>(network, choices, experiment.hardware);
  auto constraints = read_constraints(experiment.constraints, *costs, uniform8);
  return {std::move(experiment), std::move(network),  std::move(rewritten.records),
          std::move(choices),    std::move(space),    std::move(uniform8),
          std::move(requested),  std::move(costs),    std::move(constraints)};
}

}  // namespace bitplan
