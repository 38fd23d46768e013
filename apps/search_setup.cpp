#include <algorithm>
#include <cmath>

#include "apps/search_run.hpp"
#include "apps/table.hpp"
#include "core/error.hpp"
#include "core/files.hpp"
#include "core/units.hpp"
#include "search/run_search.hpp"

namespace bitplan {
namespace {

std::string reach_text(const Study& study, std::size_t metric, const Constraint& constraint) {
  const auto reach = reachable(study.space, *study.costs, metric);
  const auto show = [&](std::int64_t v) { return study.costs->format(metric, static_cast<double>(v)); };
  return "  " + constraint.text + ": limit " + show(constraint.limit) + ", reachable " + show(reach.low) +
         (reach.low_exact ? "" : " or less") + " to " + show(reach.high) + (reach.high_exact ? "" : " or more") + '\n';
}

}  // namespace

std::string announce(const Study& study, int ranks, int threads) {
  const auto& network = *study.network;
  const auto free = std::count_if(study.space.variables().begin(), study.space.variables().end(),
                                  [](const Variable& v) { return v.options.size() > 1; });
  std::string text = study.experiment.name + ": " + network.file + ", " + std::to_string(network.layers.size()) +
                     " layers; " + std::to_string(free) + " of " + std::to_string(study.space.variables().size()) +
                     " variables to choose, 10^" + fixed(study.space.log10_size(), 0) + " plans; seed " +
                     std::to_string(study.experiment.seed) + "; " + std::to_string(ranks) +
                     (ranks == 1 ? " rank" : " ranks") + ", " + std::to_string(threads) +
                     (threads == 1 ? " thread" : " threads") + " each\n";
  if (!study.constraints.empty()) text += "constraints\n";
  for (const auto& constraint : study.constraints) text += reach_text(study, constraint.metric, constraint);
  feasible_point(study.space, *study.costs, study.constraints);
  return text;
}

void prepare_directory(const std::filesystem::path& directory, const std::filesystem::path& experiment,
                       const Study& study, bool resume) {
  if (!resume && std::filesystem::exists(directory / "run.db"))
    throw InputError(directory.string() + ": holds a run already; go on with it by --resume, or give another --out");
  std::error_code error;
  std::filesystem::create_directories(directory / "plans", error);
  if (error) throw InputError(directory.string() + ": the output directory cannot be made: " + error.message());
  // What a run was begun with stays until it is known that this one may go on with it.
  if (!std::filesystem::exists(directory / "run.db")) write_experiment(directory, experiment, study);
}

void write_experiment(const std::filesystem::path& directory, const std::filesystem::path& experiment,
                      const Study& study) {
  try {
    write_text_atomically(directory / "experiment.yaml", read_text(experiment));
    write_text_atomically(directory / "resolved.yaml", study.experiment.document.dump());
  } catch (const std::runtime_error& e) {
    throw InputError(std::string("the output directory cannot be used: ") + e.what());
  }
}

std::int64_t planned_trials(const Study& study) {
  Archive scratch;
  const auto problem = study.problem(scratch);
  auto sum = static_cast<std::int64_t>(uniform_points(study.space, *study.choices).size());
  for (const auto& stage : study.experiment.stages) {
    const auto& entry = find_searcher(stage);
    const auto planned = entry.planned(stage, problem);
    if (planned == 0) return 0;
    sum += planned;
    if (entry.name != "sensitivity") continue;
    // Later stages will find what this one measures: ask without measuring, so that they do not count it again.
    const auto dry = entry.make(stage, problem);
    for (auto asked = dry->ask(); !asked.empty(); asked = dry->ask())
      for (const auto& assignment : asked) scratch.add("dry", assignment, {});
  }
  return sum;
}

}  // namespace bitplan
