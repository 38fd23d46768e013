#include "search/uniform.hpp"

#include <algorithm>
#include <set>

#include "search/run_search.hpp"

namespace bitplan {

namespace {

/// Choices that some variable of this kind offers, fewest bits first, then in the order of the table.
std::vector<ChoiceId> offered(const Space& space, Site::Kind kind, const ChoiceTable& choices) {
  std::set<std::pair<int, ChoiceId>> found;
  for (const Variable& v : space.variables())
    if (v.kind == kind)
      for (const ChoiceId option : v.options) found.emplace(choices[option].bits, option);
  std::vector<ChoiceId> ids;
  for (const auto& [bits, id] : found) ids.push_back(id);
  if (ids.empty()) ids.push_back(kFloat);  // no variable of this kind: nothing will look at it
  return ids;
}

std::uint8_t nearest_option(const Variable& variable, ChoiceId wanted, const ChoiceTable& choices) {
  const auto& options = variable.options;
  auto found = std::find(options.begin(), options.end(), wanted);
  if (found == options.end())
    found = std::find_if(options.begin(), options.end(),
                         [&](ChoiceId option) { return choices[option].bits >= choices[wanted].bits; });
  if (found == options.end()) --found;
  return static_cast<std::uint8_t>(found - options.begin());
}

}  // namespace

std::vector<Point> uniform_points(const Space& space, const ChoiceTable& choices) {
  std::vector<Point> points;
  std::set<Point> seen;  // rules can make two pairs one point
  for (const ChoiceId weight : offered(space, Site::Kind::weight, choices))
    for (const ChoiceId activation : offered(space, Site::Kind::activation, choices)) {
      Point point;
      for (const Variable& v : space.variables())
        point.push_back(nearest_option(v, v.kind == Site::Kind::weight ? weight : activation, choices));
      if (seen.insert(point).second) points.push_back(point);
    }
  return points;
}

std::int64_t Uniform::planned() const {
  return static_cast<std::int64_t>(uniform_points(problem_.space, problem_.choices).size());
}

std::vector<Assignment> Uniform::ask() {
  std::vector<Assignment> asked;
  if (asked_) return asked;
  asked_ = true;
  for (const Point& point : uniform_points(problem_.space, problem_.choices))
    asked.push_back(problem_.space.assignment(point));
  return asked;
}

std::unique_ptr<Searcher> make_uniform(const Yaml& stage, const Problem& problem) {
  stage.only({"method"});
  return std::make_unique<Uniform>(problem);
}

std::int64_t planned_uniform(const Yaml& stage, const Problem&) {
  stage.only({"method"});
  return 0;
}

}  // namespace bitplan
