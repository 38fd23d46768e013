#include "search/greedy.hpp"

#include "search/allocate.hpp"
#include "search/settings.hpp"

namespace bitplan {

namespace {

std::int64_t read_settings(const Yaml& stage) {
  stage.only({"method", "evaluations"});
  return read_count(stage, "evaluations", 40);
}

}  // namespace

std::vector<Assignment> Greedy::ask() {
  if (refine_) return refine_->ask();
  if (auto missing = missing_sensitivities(problem_, false); !missing.empty()) {
    if (missing.size() > Sensitivity::kBatch) missing.resize(Sensitivity::kBatch);
    return missing;
  }
  auto asked = candidates();
  refine_ = std::make_unique<Refine>(problem_, evaluations_ - static_cast<std::int64_t>(asked.size()));
  return asked.empty() ? refine_->ask() : asked;
}

void Greedy::tell(std::span<const Assignment>, std::span<const Measurement>) {}  // the archive says all

std::vector<Assignment> Greedy::candidates() const {
  std::vector<Assignment> plans;
  for (const Point& point : additive_plans(problem_)) {
    auto plan = problem_.space.assignment(point);
    if (!problem_.archive.find(plan) && static_cast<std::int64_t>(plans.size()) < evaluations_)
      plans.push_back(std::move(plan));
  }
  return plans;
}

std::unique_ptr<Searcher> make_greedy(const Yaml& stage, const Problem& problem) {
  return std::make_unique<Greedy>(problem, read_settings(stage));
}

std::int64_t planned_greedy(const Yaml& stage, const Problem& problem) {
  const auto missing = static_cast<std::int64_t>(missing_sensitivities(problem, false).size());
  return read_settings(stage) + missing;
}

}  // namespace bitplan
