#include "search/point_costs.hpp"

#include <array>
#include <filesystem>
#include <fstream>

#include "tests/catch.hpp"
#include "tests/search/synthetic.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

/// The costs of the constraints, computed whole: the reference.
std::vector<std::int64_t> whole(const Synthetic& s, const Point& point) {
  std::vector<std::int64_t> costs;
  for (const Constraint& c : s.constraints) costs.push_back(s.costs->cost(c.metric, s.space->assignment(point)));
  return costs;
}

}  // namespace

TEST_CASE("costs that follow moves equal the costs of the whole assignment, sums and peaks alike") {
  Synthetic s = chain(6, 1, 1.5, 1.0, {2, 3, 4, 8}, {2, 4, 8});
  for (const char* metric : {"weight_bytes", "bops", "peak_activation_bytes"}) s.constrain_at(metric, 0.4);
  Archive archive;
  const Problem problem = s.problem(archive);
  Rng rng(1, "point_costs_test");
  const auto& variables = s.space->variables();
  PointCosts at(problem, Point(variables.size(), 0));
  const auto draw = [&](std::size_t v) {
    return Move{v, static_cast<std::uint8_t>(rng.below(variables[v].options.size()))};
  };
  for (int i = 0; i < 300; ++i) {
    const std::size_t v = rng.below(variables.size()), w = (v + 1 + rng.below(variables.size() - 1)) % variables.size();
    const std::array pair{draw(v), draw(w)};
    Point moved = at.point();
    for (const Move& move : pair) moved[move.variable] = move.option;
    CHECK(at.after(pair) == whole(s, moved));
    CHECK(at.costs() == whole(s, at.point()));
    at.set(pair[0]);
    CHECK(at.costs() == whole(s, at.point()));
    const auto all = s.costs->costs(s.space->assignment(at.point()));
    CHECK(at.holds() == holds(s.constraints, all));
    CHECK(at.violation() == Approx(violation(s.constraints, all)).margin(1e-15));
  }
}

TEST_CASE("a weight and the activation that its layer reads count together in one pair of moves") {
  Synthetic s = chain(2, 1, 1.5, 1.0, {2, 8}, {2, 8});
  s.constrain("bops", 1);
  Archive archive;
  const Problem problem = s.problem(archive);
  PointCosts at(problem, {0, 0, 0, 0});
  const std::int64_t macs0 = s.network->layers[0].macs, macs1 = s.network->layers[1].macs;
  CHECK(at.costs()[0] == 4 * macs0 + 4 * macs1);
  const std::array pair{Move{0, 1}, Move{2, 1}};
  CHECK(at.after(pair)[0] == 64 * macs0 + 4 * macs1);  // not 4 + 12 + 12
}

TEST_CASE("a cost that the hardware does not give stays unknown until no layer needs it") {
  Synthetic s = chain(2, 1);
  auto variables = s.space->variables();
  for (auto& v : variables) v.options.push_back(kFloat);
  s.space = std::make_unique<Space>(variables, s.network->sites.size());
  const auto folder = std::filesystem::temp_directory_path() / "bitplan_point_costs_test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "costs.csv")
      << "layer,w_bits,a_bits,metric,value,unit\nconv0,8,8,latency,5,us\nconv1,8,8,latency,7,us\n";
  std::ofstream(folder / "hw.yaml") << "kind: table\nname: t\nfile: costs.csv\nmissing: round_up\n";
  s.costs = std::make_unique<CostModel>(s.network, s.choices,
                                        std::map<std::string, std::filesystem::path>{{"t", folder / "hw.yaml"}});
  s.constrain("latency", 13'000'000, "t");
  Archive archive;
  const Problem problem = s.problem(archive);
  PointCosts at(problem, {6, 6, 1, 1});  // all float
  CHECK(at.costs()[0] == kUnknownCost);
  CHECK_FALSE(at.holds());
  at.set({0, 0});
  at.set({2, 0});
  CHECK(at.costs()[0] == kUnknownCost);
  CHECK(at.after({1, 0})[0] == kUnknownCost);  // its activation is still float
  const std::array pair{Move{1, 0}, Move{3, 0}};
  CHECK(at.after(pair)[0] == 12'000'000);
  at.set({1, 0});
  at.set({3, 0});
  CHECK(at.costs() == whole(s, at.point()));
  at.set({0, 6});
  CHECK(at.costs()[0] == kUnknownCost);
  std::filesystem::remove_all(folder);
}
