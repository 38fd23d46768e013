#include "search/refine.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "search/allocate.hpp"
#include "search/settings.hpp"

namespace bitplan {

namespace {

std::int64_t read_settings(const Yaml& stage) {
  stage.only({"method", "evaluations"});
  return read_count(stage, "evaluations", 100);
}

OptionTable optimistic(const LocalModel& model, double b) {
  OptionTable bound = model.mean;
  for (std::size_t v = 0; v < bound.size(); ++v)
    for (std::size_t o = 0; o < bound[v].size(); ++o) bound[v][o] -= b * model.deviation[v][o];
  return bound;
}

}  // namespace

std::vector<Assignment> Refine::ask() {
  if (left_ <= 0) return {};
  if (auto missing = missing_sensitivities(problem_, false); !missing.empty()) {
    if (missing.size() > Sensitivity::kBatch) missing.resize(Sensitivity::kBatch);
    return missing;
  }
  std::vector<Point> points;
  if (const Trial* centre = problem_.archive.best()) {
    failures_ = centre->id == centre_ ? failures_ + 1 : 0;
    centre_ = centre->id;
    points = proposals(*centre);
  } else {
    points = additive_plans(problem_);
  }
  std::vector<Assignment> asked;
  for (const Point& point : points) {
    auto assignment = problem_.space.assignment(point);
    if (asked.size() < std::min(kBatch, static_cast<std::size_t>(left_)) && !problem_.archive.find(assignment))
      asked.push_back(std::move(assignment));
  }
  left_ -= static_cast<std::int64_t>(asked.size());
  return asked;
}

void Refine::tell(std::span<const Assignment>, std::span<const Measurement>) {}  // the archive says all

std::vector<Point> Refine::proposals(const Trial& centre) const {
  const LocalModel model = fit_local_model(problem_, sensitivity_table(problem_), centre);
  const OptionTable bound = optimistic(model, 0.5 * (1 + failures_));
  std::vector<Point> points{Allocator{problem_, model.mean}.solve(), Allocator{problem_, bound}.solve()};

  const Allocator allocator{problem_, bound};
  const PointCosts start(problem_, problem_.space.point(centre.assignment).value());
  std::set<std::pair<double, Point>> near;
  for (std::size_t v = 0; v < bound.size(); ++v)
    for (std::size_t o = 0; o < bound[v].size(); ++o)
      if (o != start.point()[v])
        if (const auto point = allocator.around(start, {v, static_cast<std::uint8_t>(o)}))
          near.emplace(allocator.loss(*point), *point);
  for (const auto& [loss, point] : near) points.push_back(point);

  std::set<Point> seen;
  std::erase_if(points, [&](const Point& point) { return !seen.insert(point).second; });
  return points;
}

std::unique_ptr<Searcher> make_refine(const Yaml& stage, const Problem& problem) {
  return std::make_unique<Refine>(problem, read_settings(stage));
}

std::int64_t planned_refine(const Yaml& stage, const Problem& problem) {
  const auto missing = static_cast<std::int64_t>(missing_sensitivities(problem, false).size());
  return read_settings(stage) + missing;
}

}  // namespace bitplan
