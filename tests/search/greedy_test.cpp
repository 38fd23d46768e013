#include "search/greedy.hpp"

#include <limits>

#include "search/allocate.hpp"
#include "tests/catch.hpp"
#include "tests/search/synthetic.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

/// Four layers, weights and activations mixed: 3^4 * 2^4 = 1296 points, under size and operations.
Synthetic small_mixed(std::uint64_t seed, double power) {
  Synthetic s = chain(4, seed, 1.5, power, {2, 4, 8}, {4, 8});
  s.constrain_at("weight_bytes", 0.35);
  s.constrain_at("bops", 0.35);
  return s;
}

/// The least loss of all points that hold the constraints.
double brute_force(const Synthetic& s) {
  const auto& variables = s.space->variables();
  double least = std::numeric_limits<double>::infinity();
  Point point(variables.size(), 0);
  for (;;) {
    const Assignment assignment = s.space->assignment(point);
    if (holds(s.constraints, s.costs->costs(assignment))) least = std::min(least, s.loss(assignment));
    std::size_t v = 0;
    while (v < point.size() && ++point[v] == variables[v].options.size()) point[v++] = 0;
    if (v == point.size()) return least;
  }
}

/// The exact table of an additive loss.
OptionTable exact_table(const Synthetic& s) {
  Archive archive;
  const Problem problem = s.problem(archive);
  OptionTable table;
  for (std::size_t v = 0; v < s.space->variables().size(); ++v) {
    auto& row = table.emplace_back();
    for (std::size_t o = 0; o < s.space->variables()[v].options.size(); ++o)
      row.push_back(s.loss(alone(problem, v, o)));
  }
  return table;
}

}  // namespace

TEST_CASE("the allocator takes the swap that saves more loss, in a case small enough to check by hand") {
  // Two equal tensors, one may have 8 bits and the other 4; the first loses 10 by going down, the second 3.
  Synthetic s = chain(2, 1, 1.5, 1.0, {4, 8});
  const auto bytes = s.costs->metric("weight_bytes", "");
  const auto at = [&](std::uint8_t first, std::uint8_t second) {
    return s.costs->cost(bytes, s.space->assignment({first, second, 0, 0}));
  };
  s.constrain("weight_bytes", std::max(at(1, 0), at(0, 1)));
  Archive archive;
  const Problem problem = s.problem(archive);
  CHECK(Allocator{problem, {{10, 0}, {3, 0}, {0}, {0}}}.solve() == Point{1, 0, 0, 0});
  CHECK(Allocator{problem, {{3, 0}, {10, 0}, {0}, {0}}}.solve() == Point{0, 1, 0, 0});
}

TEST_CASE("the allocator finds the optimum of most small additive problems and is never far from it") {
  int optimal = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const Synthetic s = small_mixed(seed, 1.0);
    Archive archive;
    const Problem problem = s.problem(archive);
    const OptionTable table = exact_table(s);
    const Allocator allocator{problem, table};
    const Point point = allocator.solve();
    CHECK(holds(s.constraints, s.costs->costs(s.space->assignment(point))));
    const double least = brute_force(s);
    optimal += allocator.loss(point) <= least * (1 + 1e-9);
    CHECK(allocator.loss(point) <= 1.5 * least);
  }
  CHECK(optimal >= 30);
}

TEST_CASE("the allocator meets a peak of activation memory, where no single step helps") {
  Synthetic s = chain(5, 2, 1.5, 1.0, {4, 8}, {2, 4, 8});
  s.constrain_at("peak_activation_bytes", 0.1);
  s.constrain_at("weight_bytes", 0.5);
  Archive archive;
  const Problem problem = s.problem(archive);
  const OptionTable table = exact_table(s);
  const Point point = Allocator{problem, table}.solve();
  CHECK(holds(s.constraints, s.costs->costs(s.space->assignment(point))));
  CHECK(s.loss(s.space->assignment(point)) <= 1.5 * brute_force(s));
}

TEST_CASE("greedy finds the optimum of most small problems whose losses do not add up, from measurements") {
  int optimal = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Synthetic s = small_mixed(seed, 0.6);
    const double least = brute_force(s);
    const Archive archive = s.run({"{method: greedy, evaluations: 40}"});
    optimal += archive.best()->measurement.loss <= least * (1 + 2e-6);
    CHECK(archive.best()->measurement.loss <= 1.2 * least);
  }
  CHECK(optimal >= 17);
}

TEST_CASE("greedy measures as many plans as its evaluations say, besides the sensitivities") {
  for (const int evaluations : {1, 5, 8, 30}) {
    Synthetic s = chain(8, 1, 1.5, 0.7);
    s.constrain_at("weight_bytes", 0.3);
    const Archive archive =
        s.run({"{method: sensitivity}", "{method: greedy, evaluations: " + std::to_string(evaluations) + "}"});
    std::int64_t plans = 0;
    for (const Trial& trial : archive.trials()) plans += trial.stage == "greedy";
    CHECK(plans == evaluations);
  }
}

TEST_CASE("greedy beats the uniform plans and 300 random plans of the same size by far") {
  for (const std::uint64_t seed : {1, 2, 3}) {
    Synthetic s = chain(20, seed, 1.5, 0.7);
    s.constrain_at("weight_bytes", 0.25);
    const double random = s.run({"{method: random, evaluations: 300}"}).best()->measurement.loss;
    CHECK(s.run({"{method: greedy}"}).best()->measurement.loss < 0.6 * random);
  }
}

TEST_CASE("refine leaves an additive plan that interaction makes bad") {
  // Layers 0 to 4 together at 4 bits or less are a disaster which no single sensitivity shows.
  for (const std::uint64_t seed : {1, 2, 3}) {
    Synthetic s = chain(8, seed, 0.7, 1.0);
    s.constrain_at("weight_bytes", 0.25);
    s.loss = [additive = s.loss, choices = s.choices](const Assignment& a) {
      int low = 0;
      for (std::size_t i = 0; i < 5; ++i) low += (*choices)[a[i]].bits <= 4;
      return additive(a) * (1 + 0.5 * low * (low - 1));
    };
    const double first = s.run({"{method: greedy, evaluations: 1}"}).best()->measurement.loss;
    const double then =
        s.run({"{method: greedy, evaluations: 1}", "{method: refine, evaluations: 60}"}).best()->measurement.loss;
    const double random = s.run({"{method: random, evaluations: 2000}"}).best()->measurement.loss;
    CAPTURE(first, then, random);
    CHECK(then < 0.9 * first);
    CHECK(then <= random);
  }
}

TEST_CASE("refine begins on its own: without a plan and without sensitivities") {
  Synthetic s = chain(6, 1, 1.5, 0.7);
  s.constrain_at("weight_bytes", 0.01);  // below every uniform plan but the lowest
  const Archive archive = s.run({"{method: refine, evaluations: 10}"});
  CHECK(archive.best() != nullptr);
}
