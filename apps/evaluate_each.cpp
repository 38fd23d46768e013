#include <chrono>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/arguments.hpp"
#include "apps/commands.hpp"
#include "apps/figures.hpp"
#include "apps/finished_costs.hpp"
#include "apps/table.hpp"
#include "core/log.hpp"
#include "search/run_search.hpp"

namespace bitplan {
namespace {

/// Of all threads of the process.
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// Makes the weights that are made once and kept.
void prepare(const Study& study, Evaluator& evaluator, const Assignment& assignment) {
  for (const Site& site : study.network->sites) {
    const ChoiceId choice = assignment[static_cast<std::size_t>(site.id)];
    if (site.kind == Site::Kind::weight && (*study.choices)[choice].is_prepared()) evaluator.prepare(site.id, choice);
  }
}

}  // namespace

int evaluate_each_command(const EvaluateOptions& options) {
  const auto role = role_named(options.on);
  const FinishSpec spec = parse_finish(options.finish);
  const auto study = make_study(Experiment::from(load_document(options.experiment, options.set)));
  const auto evaluator = study.make_evaluator(study.prepared_weights());
  for (const auto& note : evaluator->notes()) log_info(note);
  const std::string objective(study.experiment.objective->name);
  std::vector<Assignment> plans{study.space.all_float()};
  for (const Point& point : uniform_points(study.space, *study.choices)) plans.push_back(study.space.assignment(point));

  auto json = nlohmann::ordered_json::array();
  Table table({"plan", objective, "top1", "perplexity", "code bits", "with scales", "CPU s for weights"});
  const auto bits = [&](const char* metric, const std::vector<std::int64_t>& values) {
    const auto m = study.costs->metric(metric, "");
    return fixed(study.costs->display(m, static_cast<double>(values[m])), 2);
  };
  for (const Assignment& plan : plans) {
    const std::string name = &plan == plans.data() ? "float" : uniform_name(study, plan);
    const double begin = cpu_seconds();
    prepare(study, *evaluator, plan);
    Finish finished;
    if (spec.any()) finished = evaluator->finish(plan, spec);
    const double seconds = cpu_seconds() - begin;
    for (const auto& note : finished.notes) log_info(note);
    const auto costs = finished_costs(study, plan, finished);
    LossSums sums;
    const ChunkRange all{0, evaluator->chunks(role)};
    for (const auto& chunk : evaluator->measure(plan, role, all, nullptr, spec.any() ? &finished : nullptr))
      sums.add(chunk);
    const auto figures = figures_of(sums);
    json.push_back({{"plan", name},
                    {"losses", losses_json(figures)},
                    {"intervals", intervals_json(figures)},
                    {"costs", costs_json(*study.costs, costs)},
                    {"cpu_seconds_for_weights", seconds}});
    const auto shown = [&](const std::string& metric) {
      const auto found = figures.find(metric);
      return found == figures.end() ? std::string("-") : show(metric, found->second);
    };
    table.row({name, shown(objective), shown("top1"), shown("perplexity"), bits("average_code_bits", costs),
               bits("average_weight_bits", costs), fixed(seconds, 1)});
    if (!options.json) std::cerr << name << ": " << objective << ' ' << shown(objective) << '\n';
  }
  if (options.json)
    std::cout << json.dump(1) << '\n';
  else
    std::cout << table.text();
  return 0;
}

}  // namespace bitplan
