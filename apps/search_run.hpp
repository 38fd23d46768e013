#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "apps/progress.hpp"
#include "apps/study.hpp"
#include "cluster/coordinator.hpp"
#include "plan/plan.hpp"

namespace bitplan {

/// What a run says before it measures anything: the network, the size of the space, the reachable interval of every
/// constrained cost. Throws InfeasibleError when no plan can hold the constraints.
std::string announce(const Study& study, int ranks, int threads);

/// Makes the run directory and, where it holds no run yet, the files of write_experiment(). Throws InputError when it
/// cannot be made, when it holds a run already and `resume` is false.
void prepare_directory(const std::filesystem::path& directory, const std::filesystem::path& experiment,
                       const Study& study, bool resume);

/// `experiment.yaml` (as given) and `resolved.yaml`. Throws InputError when they cannot be written.
void write_experiment(const std::filesystem::path& directory, const std::filesystem::path& experiment,
                      const Study& study);

/// How many trials the stages plan in all, the uniform ones included; 0 when one of them does not know.
std::int64_t planned_trials(const Study& study);

/// What a finished search gives.
struct SearchResult {
  Plan plan;
  std::string text;    ///< the table for people
  std::string json;
  std::string signature;   ///< hash of stages, assignments and integer costs
};

/// Rank 0: runs the stages, the uniform guard and the final measurements, writes plans/best.json, plans/front.json and
/// sensitivity.csv.
SearchResult run_study(const Study& study, Evaluator& evaluator, Coordinator& coordinator, RunStore& store,
                       Progress& progress, const std::filesystem::path& directory,
                       const std::map<std::string, std::string>& provenance);

}  // namespace bitplan
