#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/arguments.hpp"
#include "apps/commands.hpp"
#include "apps/figures.hpp"
#include "apps/finished_costs.hpp"
#include "apps/table.hpp"
#include "core/error.hpp"
#include "core/log.hpp"

namespace bitplan {

int evaluate_command(const EvaluateOptions& options) {
  const auto role = role_named(options.on);
  const FinishSpec said = parse_finish(options.finish);
  const std::string uniform = options.as_float ? "float" : options.uniform;
  const auto asked = study_for(Experiment::from(load_document(options.experiment, options.set)), options.plan, uniform);
  const auto& study = asked.study;

  const auto [evaluator, assignment] = study.make_evaluator_of(asked.assignment, study.prepared_weights());
  for (const auto& note : evaluator->notes()) log_info(note);
  const auto begin = std::chrono::steady_clock::now();
  LossSums sums;
  const FinishSpec spec = options.finish.empty() ? finish_named(asked.finish) : said;
  Finish finished;
  if (spec.any()) finished = evaluator->finish(assignment, spec);
  for (const auto& note : finished.notes) log_info(note);
  const auto chunks = evaluator->measure(assignment, role, {0, evaluator->chunks(role)}, nullptr,
                                         spec.any() ? &finished : nullptr);
  for (const auto& chunk : chunks) sums.add(chunk);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const auto figures = figures_of(sums);
  const auto values = finished_costs(study, asked.assignment, finished);

  if (options.json) {
    const nlohmann::ordered_json out{{"assignment", asked.name},
                                     {"samples", sums.samples},
                                     {"invalid", sums.invalid},
                                     {"on", options.on},
                                     {"losses", losses_json(figures)},
                                     {"intervals", intervals_json(figures)},
                                     {"costs", costs_json(*study.costs, values)},
                                     {"seconds", seconds}};
    std::cout << out.dump(1) << '\n';
  } else {
    std::cout << asked.name << " on " << sums.samples << " " << options.on << " samples, 95 % intervals\n\n";
    Table losses({"loss", "value"});
    for (const auto& [name, loss] : figures) losses.row({name, show(name, loss)});
    std::cout << losses.text() << '\n';
    Table costs({"cost", "value"});
    for (std::size_t m = 0; m < values.size(); ++m)
      costs.row({study.costs->metrics()[m].label(), study.costs->format(m, static_cast<double>(values[m]))});
    std::cout << costs.text();
  }
  if (sums.invalid > 0) throw InputError(asked.name + ": " + std::to_string(sums.invalid) + " samples have NaN or infinite outputs");
  return 0;
}

}  // namespace bitplan
