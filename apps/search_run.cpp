#include "apps/search_run.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/figures.hpp"
#include "apps/finished_costs.hpp"
#include "apps/search_finish.hpp"
#include "apps/search_table.hpp"
#include "core/error.hpp"
#include "core/hash.hpp"
#include "core/log.hpp"
#include "plan/tables.hpp"
#include "search/run_search.hpp"

namespace bitplan {
namespace {

/// One assignment for each weight and choice of the space that is made once and kept: float but for that.
std::vector<Assignment> preparations(const Study& study) {
  std::vector<Assignment> assignments;
  for (const auto& variable : study.space.variables())
    for (const SiteId site : variable.sites)
      for (const ChoiceId choice : variable.options) {
        if (variable.kind != Site::Kind::weight || !(*study.choices)[choice].is_prepared()) continue;
        assignments.push_back(study.space.all_float());
        assignments.back()[static_cast<std::size_t>(site)] = choice;
      }
  return assignments;
}

/// The weight that one of `preparations` is of.
std::string prepared_weight(const Study& study, const Assignment& assignment) {
  for (const Site& site : study.network->sites)
    if (const ChoiceId choice = assignment[static_cast<std::size_t>(site.id)]; choice != kFloat)
      return "weight '" + site.name + "' as " + (*study.choices)[choice].label;
  return "a weight";
}

/// Runs all stages; the trace goes to the store batch by batch.
void search(const Study& study, Archive& archive, Coordinator& coordinator, RunStore& store, Progress& progress) {
  std::size_t written = 0;
  std::int64_t number = 0;
  coordinator.on_progress = [&](const ClusterProgress& p) { progress.units(p); };
  const auto prepared = preparations(study);
  const auto stages = static_cast<std::int64_t>(study.experiment.stages.size()) + (prepared.empty() ? 1 : 2);
  if (!prepared.empty()) {
    progress.stage("weights", ++number, stages);
    const auto made = coordinator.measure_briefly(prepared);
    for (std::size_t i = 0; i < made.size(); ++i)
      if (made[i].status == Measurement::Status::failed)
        log_warning(prepared_weight(study, prepared[i]) + " could not be made: " + made[i].reason);
  }
  const auto measure = [&](std::span<const Assignment> asked) { return coordinator.measure(asked, Role::selection); };
  const SearchEvents events{
      .on_stage = [&](const std::string& name, std::int64_t) {
        progress.stage(name, ++number, stages);
      },
      .on_batch = [&](const Archive& so_far) {
        for (const auto& alarm : store.add_trials(std::span(so_far.trials()).subspan(written))) log_warning(alarm);
        written = so_far.trials().size();
        progress.batch(so_far, *study.costs, std::string(study.experiment.objective->name));
      }};
  run_search(study.problem(archive), archive, *study.experiment.objective, study.experiment.stages, measure, events);
}

/// The best feasible uniform plan of the archive, or null.
const Trial* best_uniform(const Study& study, const Archive& archive) {
  const Trial* best = nullptr;
  for (const auto& point : uniform_points(study.space, *study.choices)) {
    const auto* trial = archive.find(study.space.assignment(point));
    if (trial != nullptr && trial->measurement.feasible && trial->measurement.status == Measurement::Status::ok &&
        (best == nullptr || Archive::better(*trial, *best)))
      best = trial;
  }
  return best;
}

bool is_uniform(const Study& study, const Assignment& assignment) {
  for (const auto& point : uniform_points(study.space, *study.choices))
    if (study.space.assignment(point) == assignment) return true;
  return false;
}

std::map<std::string, double> shown_costs(const CostModel& costs, const std::vector<std::int64_t>& values) {
  std::map<std::string, double> shown;
  for (std::size_t m = 0; m < values.size(); ++m)
    shown[costs.metrics()[m].label()] = costs.display(m, static_cast<double>(values[m]));
  return shown;
}

/// Selection and holdout figures of assignments, spread over the ranks like any other measurement.
std::vector<Reference> final_figures(const Study& study, Coordinator& coordinator,
                                     const std::vector<std::pair<std::string, Assignment>>& named) {
  std::vector<Assignment> assignments;
  for (const auto& [name, assignment] : named) assignments.push_back(assignment);
  const auto selection = coordinator.measure(assignments, Role::selection);
  const auto holdout = coordinator.measure(assignments, Role::holdout);
  std::vector<Reference> references;
  for (std::size_t i = 0; i < named.size(); ++i) {
    if (holdout[i].status != Measurement::Status::ok)
      log_warning(named[i].first + " has no holdout figures: " + holdout[i].reason);
    references.push_back({named[i].first, figures_of(selection[i].sums), figures_of(holdout[i].sums),
                          shown_costs(*study.costs, study.costs->costs(named[i].second))});
  }
  return references;
}

std::vector<ConstraintUse> constraint_uses(const Study& study, const std::vector<std::int64_t>& costs) {
  std::vector<ConstraintUse> uses;
  for (const auto& c : study.constraints) {
    const double limit = study.costs->display(c.metric, static_cast<double>(c.limit));
    const double used = study.costs->display(c.metric, static_cast<double>(costs[c.metric]));
    uses.push_back({c.text, study.costs->metrics()[c.metric].label(), limit, used,
                    study.costs->display(c.metric, static_cast<double>(c.limit - costs[c.metric]))});
  }
  return uses;
}

/// A layer's weight as the plan has it.
QuantizedWeight final_weight(const Evaluator& evaluator, const FinishedPlan* finished, LayerId layer, ChoiceId choice) {
  const auto l = static_cast<std::size_t>(layer);
  const bool again = finished != nullptr && finished->finish.weights[l];
  QuantizedWeight weight = again ? *finished->finish.weights[l] : evaluator.quantized_weight(layer, choice);
  const bool biased = finished != nullptr && !finished->finish.biases.empty() && !finished->finish.biases[l].empty();
  if (biased) weight.bias = finished->finish.biases[l];
  return weight;
}

/// What final passes change in a plan.
void take_over(const Study& study, const Assignment& assignment, const FinishedPlan& finished, Plan& plan) {
  plan.references.push_back({"before the final passes", plan.selection, plan.holdout, plan.costs});
  plan.finish = finished.passes;
  plan.selection = figures_of(finished.selection);
  plan.holdout = figures_of(finished.holdout);
  plan.costs = shown_costs(*study.costs, finished.costs);
  plan.constraints = constraint_uses(study, finished.costs);
  for (PlannedLayer& layer : plan.layers)
    layer.costs.at("weight_bytes") += static_cast<double>(bias_bytes(study, assignment, finished.finish, layer.id));
}

Plan make_plan(const Study& study, const Evaluator& evaluator, const Trial& best, bool uniform,
               std::vector<Reference> references, const FinishedPlan* finished,
               const std::map<std::string, std::string>& provenance) {
  const auto& network = *study.network;
  Plan plan;
  plan.name = study.experiment.name;
  plan.model_file = network.file;
  plan.model_sha256 = network.sha256;
  plan.producer = network.producer;
  plan.opset = network.opset;
  const auto& objective = *study.experiment.objective;
  plan.objective = (objective.minimize ? "minimize " : "maximize ") + std::string(objective.name);
  for (const auto role : {Role::calibration, Role::selection, Role::holdout})
    plan.data[std::string(name_of(role))] = evaluator.data_fingerprint(role);
  plan.constraints = constraint_uses(study, best.measurement.costs);
  plan.kind = uniform ? "uniform" : "mixed";
  plan.stage = best.stage;
  plan.selection = references[0].selection;
  plan.holdout = references[0].holdout;
  plan.costs = references[0].costs;
  plan.references.assign(references.begin() + 1, references.end());
  plan.layers =
      plan_layers(network, *study.choices, *study.costs, best.assignment,
                  {[&](SiteId site, ChoiceId choice) { return evaluator.site_quantizer(site, choice); },
                   [&](LayerId layer, ChoiceId choice) { return final_weight(evaluator, finished, layer, choice); }});
  plan.products = plan_products(network, *study.choices, best.assignment, [&](SiteId site, ChoiceId choice) {
    return evaluator.site_quantizer(site, choice);
  });
  plan.rewrites = study.rewrites;
  plan.provenance = provenance;
  if (finished != nullptr) take_over(study, best.assignment, *finished, plan);
  return plan;
}

std::vector<std::size_t> front_metrics(const Study& study) {
  std::vector<std::size_t> metrics;
  for (const auto& c : study.constraints)
    if (std::find(metrics.begin(), metrics.end(), c.metric) == metrics.end()) metrics.push_back(c.metric);
  if (metrics.empty()) metrics.push_back(study.costs->metric("weight_bytes", ""));
  return metrics;
}

/// Why the last of the trials that were not valid was not.
std::string last_reason(const Archive& archive) {
  for (auto trial = archive.trials().rbegin(); trial != archive.trials().rend(); ++trial)
    if (!trial->measurement.reason.empty()) return "; the last: " + trial->measurement.reason;
  return {};
}

}  // namespace

SearchResult run_study(const Study& study, Evaluator& evaluator, Coordinator& coordinator, RunStore& store,
                       Progress& progress, const std::filesystem::path& directory,
                       const std::map<std::string, std::string>& provenance) {
  Archive archive;
  search(study, archive, coordinator, store, progress);
  const auto* best = archive.best();
  if (best == nullptr)
    throw InfeasibleError("no plan that holds the constraints could be measured: " +
                          std::to_string(archive.trials().size()) + " trials, none of them valid" +
                          last_reason(archive));
  const auto* uniform = best_uniform(study, archive);
  const bool best_is_uniform = is_uniform(study, best->assignment);

  std::vector<std::pair<std::string, Assignment>> named{{"plan", best->assignment}, {"float", study.space.all_float()}};
  if (uniform != nullptr) named.emplace_back(uniform_name(study, uniform->assignment), uniform->assignment);
  auto all = provenance;
  all["trace"] = hex(trace_hash(archive, true));
  all["trials"] = std::to_string(archive.trials().size());
  SearchResult result;
  std::optional<FinishedPlan> finished;
  if (!study.experiment.finish.empty()) {
    progress.stage("finish", 1, 1);
    finished = finish_plan(study, evaluator, best->assignment, best->measurement.sums);
  }
  result.plan = make_plan(study, evaluator, *best, best_is_uniform, final_figures(study, coordinator, named),
                          finished ? &*finished : nullptr, all);

  write_plan(directory / "plans" / "best.json", result.plan);
  write_front(directory / "plans" / "front.json", *study.network, *study.choices, *study.costs, archive, front_metrics(study));
  if (const auto rows = sensitivity_rows(study.space, *study.choices, archive, *study.experiment.objective); rows.size() > 1)
    write_sensitivity_csv(directory / "sensitivity.csv", rows);
  result.text = result_text(study, result.plan, directory);
  result.signature = hex(trace_hash(archive, false));
  result.json = result_json(study, result.plan, directory);
  return result;
}

}  // namespace bitplan
