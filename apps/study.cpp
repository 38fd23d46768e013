#include "apps/study.hpp"

namespace bitplan {

Problem Study::problem(const Archive& archive) const {
  return {*network, *choices, space, *costs, constraints, archive, experiment.seed};
}

std::shared_ptr<Evaluator> Study::make_evaluator() const {
  const EvaluatorSpec spec{.calibration = experiment.calibration,
                           .selection = experiment.selection,
                           .holdout = experiment.holdout,
                           .observer = experiment.space.observer,
                           .threads = experiment.run.threads,
                           .cache_bytes = experiment.run.cache_bytes};
  auto evaluator = std::make_shared<Evaluator>(network, choices, spec);
  if (const auto why = evaluator->refusal(*experiment.objective, Role::selection))
    experiment.document.at("objective").fail(std::string(experiment.objective->name) + " cannot be measured: " + *why);
  return evaluator;
}

Study make_study(Experiment experiment, const std::string& uniform, const std::vector<Choice>& plan_choices) {
  auto network = std::make_shared<const Network>(import_onnx(experiment.model, experiment.import));
  if (network->layers.empty())
    throw InputError(network->file + ": has no layer with constant weights, nothing can be quantized");
  auto choices = std::make_shared<ChoiceTable>();
  auto space = make_space(experiment.space, *network, *choices);
  auto uniform8 = uniform_assignment("w8a8", experiment.space, *network, *choices);
  Assignment requested;
  if (!uniform.empty()) requested = uniform_assignment(uniform, experiment.space, *network, *choices);
  for (const auto& choice : plan_choices) choices->add(choice);
  // The table is complete from here on: costs and evaluators index it.
  auto costs = std::make_shared<const CostModel>(network, choices, experiment.hardware);
  auto constraints = read_constraints(experiment.constraints, *costs, uniform8);
  return {std::move(experiment), std::move(network),   std::move(choices), std::move(space),
          std::move(uniform8),   std::move(requested), std::move(costs),   std::move(constraints)};
}

}  // namespace bitplan
