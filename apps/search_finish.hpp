#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/study.hpp"
#include "eval/finish.hpp"
#include "plan/plan.hpp"

namespace bitplan {

/// A plan after its final passes.
struct FinishedPlan {
  std::vector<std::string> passes;  ///< "asymmetric", "bias"
  Finish finish;
  std::vector<std::int64_t> costs;  ///< by metric, with what the passes add
  LossSums selection, holdout;
};

/// Tries the passes that the experiment asks for, on this rank: each rounding pass alone, then each bias pass behind
/// the best of these. What lowers the objective on the selection data most is kept, so a plan never gets worse there;
/// `before` are its sums there. What breaks a constraint by the numbers that it adds is not kept. Nothing when no pass
/// helps. Throws Interrupted when a stop signal comes.
std::optional<FinishedPlan> finish_plan(const Study& study, Evaluator& evaluator, const Assignment& assignment,
                                        const LossSums& before);

}  // namespace bitplan
