#include "apps/search_finish.hpp"

#include <chrono>
#include <cmath>
#include <thread>

#include "apps/table.hpp"
#include "cluster/signals.hpp"
#include "core/log.hpp"

namespace bitplan {
namespace {

/// Becomes true soon after a stop signal.
class StopFlag {
 public:
  StopFlag()
      : watch_([this](const std::stop_token& ended) {
          while (!ended.stop_requested()) {
            if (stop_signal() != nullptr) flag_ = true;
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
          }
        }) {}
  const std::atomic<bool>* flag() const { return &flag_; }

 private:
  std::atomic<bool> flag_ = false;
  std::jthread watch_;
};

LossSums measured(Evaluator& evaluator, const Assignment& assignment, const Finish& finish, Role role,
                  const std::atomic<bool>* stop) {
  LossSums sums;
  for (const auto& chunk : evaluator.measure(assignment, role, {0, evaluator.chunks(role)}, stop, &finish))
    sums.add(chunk);
  return sums;
}

std::string text_of(const std::vector<std::string>& passes) {
  std::string text;
  for (const auto& pass : passes) text += (text.empty() ? "" : ", ") + pass;
  return text;
}

}  // namespace

std::optional<FinishedPlan> finish_plan(const Study& study, Evaluator& evaluator, const Assignment& assignment,
                                        const LossSums& before) {
  const StopFlag stop;
  const Metric& objective = *study.experiment.objective;
  double least = objective_loss(objective, before);
  const std::string was = significant(objective.value(before).value);
  std::optional<FinishedPlan> best;
  const auto attempt = [&](const std::vector<std::string>& passes) {
    FinishedPlan plan{passes, evaluator.finish(assignment, finish_named(passes), stop.flag()), {}, {}};
    plan.selection = measured(evaluator, assignment, plan.finish, Role::selection, stop.flag());
    const double loss = objective_loss(objective, plan.selection);
    const bool better = loss < least;
    log_info("final pass " + text_of(passes) + ": " + std::string(objective.name) + " on selection " +
             significant(objective.value(plan.selection).value) + " (" + was + " before)" +
             (better ? "" : ", not kept"));
    if (better) least = loss, best = std::move(plan);
  };
  bool bias = false;
  for (const std::string& pass : study.experiment.finish) {
    if (pass == "bias")
      bias = true;
    else
      attempt({pass});
  }
  if (bias) {
    auto passes = best ? best->passes : std::vector<std::string>();
    passes.emplace_back("bias");
    attempt(passes);
  }
  if (best) best->holdout = measured(evaluator, assignment, best->finish, Role::holdout, stop.flag());
  return best;
}

}  // namespace bitplan
