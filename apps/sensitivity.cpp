#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/commands.hpp"
#include "apps/study.hpp"
#include "apps/table.hpp"
#include "core/log.hpp"
#include "plan/tables.hpp"
#include "search/run_search.hpp"

namespace bitplan {
namespace {

/// Measures every variable × option alone on this process's threads.
Archive measure_alone(const Study& study, Evaluator& evaluator) {
  Archive archive;
  const auto measure = [&](std::span<const Assignment> asked) {
    std::vector<Measured> results;
    for (const auto& assignment : asked) {
      Measured measured;
      for (const auto& chunk : evaluator.measure(assignment, Role::selection, {0, evaluator.chunks(Role::selection)}))
        measured.sums.add(chunk);
      if (measured.sums.invalid > 0) measured.status = Measurement::Status::invalid;
      results.push_back(std::move(measured));
    }
    return results;
  };
  const auto stage = Yaml::parse_text("{method: sensitivity}", "sensitivity");
  run_search(study.problem(archive), archive, *study.experiment.objective, {stage}, measure,
             {.on_stage = {}, .on_batch = {}});
  return archive;
}

}  // namespace

int sensitivity_command(const SensitivityOptions& options) {
  const auto study = make_study(Experiment::from(load_document(options.experiment, options.set)));
  const auto evaluator = study.make_evaluator();
  const auto archive = measure_alone(study, *evaluator);
  const auto& metric = *study.experiment.objective;
  const auto rows = sensitivity_rows(study.space, *study.choices, archive, metric);
  if (options.out) write_sensitivity_csv(*options.out, rows);

  if (options.json) {
    using Json = nlohmann::ordered_json;
    Json list = Json::array();
    for (const auto& row : rows)
      list.push_back({{"variable", row.variable}, {"kind", row.kind}, {"sites", row.sites}, {"choice", row.choice},
                      {"loss", row.loss.value}, {"low", row.loss.low}, {"high", row.loss.high}});
    std::cout << Json{{"metric", metric.name}, {"samples", evaluator->samples(Role::selection)}, {"rows", list}}.dump(1) << '\n';
    return 0;
  }
  Table table({"variable", "kind", "choice", std::string(metric.name), "95 % interval"});
  for (const auto& row : rows)
    table.row({row.variable, row.kind, row.choice, significant(row.loss.value),
               significant(row.loss.low) + " … " + significant(row.loss.high)});
  std::cout << "each site alone, everything else float; " << evaluator->samples(Role::selection) << " selection samples\n\n"
            << table.text();
  if (options.out) log_info("written: " + options.out->string());
  return 0;
}

}  // namespace bitplan
