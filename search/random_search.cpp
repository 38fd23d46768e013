#include "search/random_search.hpp"

#include <utility>

#include "core/rng.hpp"
#include "search/point_costs.hpp"
#include "search/settings.hpp"

namespace bitplan {

namespace {

template <class T>
void shuffle(std::vector<T>& items, Rng& rng) {
  for (std::size_t n = items.size(); n > 1; --n) std::swap(items[n - 1], items[rng.below(n)]);
}

std::int64_t read_settings(const Yaml& stage) {
  stage.only({"method", "evaluations"});
  return read_count(stage, "evaluations", 100);
}

}  // namespace

Point random_feasible_point(const Problem& problem, std::uint64_t index) {
  Rng rng(problem.seed, "random", index);
  Point point;
  std::vector<std::size_t> steps;  // a variable once for each option it can go down
  for (const Variable& v : problem.space.variables()) {
    point.push_back(static_cast<std::uint8_t>(rng.below(v.options.size())));
    steps.insert(steps.end(), point.back(), point.size() - 1);
  }
  PointCosts at(problem, point);
  if (at.holds()) return point;
  shuffle(steps, rng);
  for (std::size_t i = 0; i < steps.size() && !at.holds(); ++i)
    at.set({steps[i], static_cast<std::uint8_t>(at.point()[steps[i]] - 1)});
  if (at.holds()) return at.point();
  const Point safe = feasible_point(problem.space, problem.costs, problem.constraints);
  std::vector<std::size_t> order;
  for (std::size_t v = 0; v < safe.size(); ++v) order.push_back(v);
  shuffle(order, rng);
  for (std::size_t i = 0; i < order.size() && !at.holds(); ++i) at.set({order[i], safe[order[i]]});
  return at.point();
}

std::vector<Assignment> RandomSearch::ask() {
  std::vector<Assignment> asked;
  int attempts = 0;
  while (!exhausted_ && asked.size() < kBatch && static_cast<std::int64_t>(proposed_.size()) < evaluations_) {
    const Point point = random_feasible_point(problem_, drawn_++);
    auto assignment = problem_.space.assignment(point);
    if (!problem_.archive.find(assignment) && proposed_.insert(point).second) {
      asked.push_back(std::move(assignment));
      attempts = 0;
    } else {
      exhausted_ = ++attempts == kAttempts;
    }
  }
  return asked;
}

std::unique_ptr<Searcher> make_random(const Yaml& stage, const Problem& problem) {
  return std::make_unique<RandomSearch>(problem, read_settings(stage));
}

std::int64_t planned_random(const Yaml& stage, const Problem&) { return read_settings(stage); }

}  // namespace bitplan
