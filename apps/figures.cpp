#include "apps/figures.hpp"

#include <nlohmann/json.hpp>

#include "apps/table.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "plan/plan_rewrites.hpp"

namespace bitplan {

Role role_named(const std::string& name) {
  for (const auto role : {Role::calibration, Role::selection, Role::holdout})
    if (name_of(role) == name) return role;
  throw UsageError("--on '" + name + "' is not known; known: calibration, selection, holdout");
}

nlohmann::ordered_json losses_json(const Figures& figures) {
  auto out = nlohmann::ordered_json::object();
  for (const auto& [name, loss] : figures) out[name] = loss.value;
  return out;
}

nlohmann::ordered_json intervals_json(const Figures& figures) {
  auto out = nlohmann::ordered_json::object();
  for (const auto& [name, loss] : figures) out[name] = {loss.low, loss.high};
  return out;
}

nlohmann::ordered_json costs_json(const CostModel& costs, const std::vector<std::int64_t>& values) {
  auto out = nlohmann::ordered_json::object();
  for (std::size_t m = 0; m < values.size(); ++m)
    out[costs.metrics()[m].label()] = costs.display(m, static_cast<double>(values[m]));
  return out;
}

std::string show(const std::string& metric, const Loss& loss) {
  const bool fraction = metric == "top1" || metric == "top5" || metric == "agreement";
  if (fraction) return fixed(100 * loss.value, 1) + " % [" + fixed(100 * loss.low, 1) + ", " + fixed(100 * loss.high, 1) + "]";
  if (loss.low == loss.value && loss.high == loss.value) return significant(loss.value);
  return significant(loss.value) + " [" + significant(loss.low) + ", " + significant(loss.high) + "]";
}

std::string uniform_name(const Study& study, const Assignment& assignment) {
  const auto most = [&](Site::Kind kind) {
    std::map<ChoiceId, int> count;
    for (const auto& site : study.network->sites)
      if (site.kind == kind) ++count[assignment[static_cast<std::size_t>(site.id)]];
    const auto top = std::max_element(count.begin(), count.end(), [](auto a, auto b) { return a.second < b.second; });
    return top == count.end() ? std::string("-") : (*study.choices)[top->first].label;
  };
  return "uniform " + most(Site::Kind::weight) + "/" + most(Site::Kind::activation);
}

Asked study_for(Experiment experiment, const std::optional<std::filesystem::path>& plan, const std::string& uniform) {
  if (!plan) {
    auto study = make_study(std::move(experiment), uniform);
    auto assignment = study.requested;
    return {std::move(study), std::move(assignment), uniform};
  }
  const auto read = read_plan(*plan);
  check_same_rewrites(read.file, read.rewrites, experiment.rewrites);
  auto study = make_study(std::move(experiment), {}, read.choices());
  auto assignment = assignment_of(read, *study.network, *study.choices);
  if (read.model_sha256 != study.network->sha256)
    log_warning(plan->string() + " was made for another file than " + study.network->file + " (sha256 differs)");
  return {std::move(study), std::move(assignment), plan->string(), read.finish};
}

}  // namespace bitplan
