#include "apps/search_finish.hpp"

#include <chrono>
#include <cmath>
#include <thread>

#include "apps/finished_costs.hpp"
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

/// "weight_bytes <= 4kB: 4.2 kB", of the first constraint that these costs break.
std::optional<std::string> broken_constraint(const Study& study, const std::vector<std::int64_t>& costs) {
  for (const Constraint& c : study.constraints)
    if (costs[c.metric] > c.limit)
      return "its numbers break " + c.text + " (" +
             study.costs->format(c.metric, static_cast<double>(costs[c.metric])) + ")";
  return std::nullopt;
}

}  // namespace

std::optional<FinishedPlan> finish_plan(const Study& study, Evaluator& evaluator, const Assignment& assignment,
                                        const LossSums& before) {
  const StopFlag stop;
  const Metric& objective = *study.experiment.objective;
  double least = objective_loss(objective, before);
  std::string compared = significant(objective.value(before).value) + " before";
  std::optional<FinishedPlan> best;
  const auto attempt = [&](const std::vector<std::string>& passes) {
    FinishedPlan plan{passes, evaluator.finish(assignment, finish_named(passes), stop.flag()), {}, {}, {}};
    for (const auto& note : plan.finish.notes) log_info(note);
    plan.costs = finished_costs(study, assignment, plan.finish);
    const std::string name = "final pass " + text_of(passes) + ": ";
    if (const auto broken = broken_constraint(study, plan.costs)) return log_info(name + *broken + ", not kept");
    plan.selection = measured(evaluator, assignment, plan.finish, Role::selection, stop.flag());
    const double loss = objective_loss(objective, plan.selection);
    const bool better = loss < least;
    log_info(name + std::string(objective.name) + " on selection " +
             significant(objective.value(plan.selection).value) + " (" + compared + ")" + (better ? "" : ", not kept"));
    if (!better) return;
    least = loss;
    compared = significant(objective.value(plan.selection).value) + " after " + text_of(passes);
    best = std::move(plan);
  };
  std::vector<std::string> biases;
  for (const std::string& pass : study.experiment.finish) {
    if (finish_named(std::span(&pass, 1)).bias)
      biases.push_back(pass);
    else
      attempt({pass});
  }
  const auto rounding = best ? best->passes : std::vector<std::string>();
  for (const std::string& pass : biases) {
    auto passes = rounding;
    passes.push_back(pass);
    attempt(passes);
  }
  if (best) best->holdout = measured(evaluator, assignment, best->finish, Role::holdout, stop.flag());
  return best;
}

}  // namespace bitplan
