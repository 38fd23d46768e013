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
  std::vector<std::string> passes;  ///< "asymmetric", "bias"; empty: the plan as it was found is best
  Finish finish;
  LossSums selection, holdout;
};

/// Tries the passes that the experiment asks for, on this rank: each rounding pass alone, then the bias pass behind the
/// best so far. What lowers the objective on the selection data is kept, so a plan never gets worse there; `before` are
/// its sums there. Nothing when no pass does. Throws Interrupted when a stop signal comes.
std::optional<FinishedPlan> finish_plan(const Study& study, Evaluator& evaluator, const Assignment& assignment,
                                        const LossSums& before);

}  // namespace bitplan
