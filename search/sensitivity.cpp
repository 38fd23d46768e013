#include "search/sensitivity.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

namespace bitplan {

namespace {

double loss_of(const Problem& problem, const Assignment& assignment) {
  const Trial* trial = problem.archive.find(assignment);
  if (!trial) throw std::logic_error("sensitivity: a row was not measured");
  return trial->measurement.loss;
}

}  // namespace

Assignment alone(const Problem& problem, std::size_t variable, std::size_t option) {
  Assignment assignment = problem.space.all_float();
  const Variable& v = problem.space.variables()[variable];
  for (const SiteId site : v.sites) assignment[static_cast<std::size_t>(site)] = v.options[option];
  return assignment;
}

double float_loss(const Problem& problem) {
  const double loss = loss_of(problem, problem.space.all_float());
  return std::isfinite(loss) ? loss : 0.0;
}

std::vector<Assignment> missing_sensitivities(const Problem& problem, bool all) {
  std::vector<Assignment> missing;
  std::set<Assignment> seen;
  const auto want = [&](const Assignment& a) {
    if (!problem.archive.find(a) && seen.insert(a).second) missing.push_back(a);
  };
  want(problem.space.all_float());
  const auto& variables = problem.space.variables();
  for (std::size_t v = 0; v < variables.size(); ++v)
    for (std::size_t o = 0; o < variables[v].options.size() && (all || variables[v].options.size() > 1); ++o)
      want(alone(problem, v, o));
  return missing;
}

OptionTable sensitivity_table(const Problem& problem) {
  const double base = float_loss(problem);
  double largest = 0;
  OptionTable table;
  for (std::size_t v = 0; v < problem.space.variables().size(); ++v) {
    const std::size_t options = problem.space.variables()[v].options.size();
    auto& row = table.emplace_back(options, 0.0);
    if (options == 1) continue;
    for (std::size_t o = 0; o < options; ++o) {
      row[o] = std::max(0.0, loss_of(problem, alone(problem, v, o)) - base);
      if (std::isfinite(row[o])) largest = std::max(largest, row[o]);
    }
  }
  for (auto& row : table)
    for (double& loss : row)
      if (!std::isfinite(loss)) loss = largest > 0 ? 10 * largest : 1;
  return table;
}

std::vector<Assignment> Sensitivity::ask() {
  auto missing = missing_sensitivities(problem_, true);
  if (missing.size() > kBatch) missing.resize(kBatch);
  return missing;
}

std::unique_ptr<Searcher> make_sensitivity(const Yaml& stage, const Problem& problem) {
  stage.only({"method"});
  return std::make_unique<Sensitivity>(problem);
}

std::int64_t planned_sensitivity(const Yaml& stage, const Problem& problem) {
  stage.only({"method"});
  return static_cast<std::int64_t>(missing_sensitivities(problem, true).size());
}

}  // namespace bitplan
