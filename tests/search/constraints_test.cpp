#include "search/constraints.hpp"

#include <fstream>
#include <functional>

#include "core/error.hpp"
#include "core/rng.hpp"
#include "tests/catch.hpp"
#include "tests/fixtures.hpp"
#include "tests/hwmodels/hardware_files.hpp"

using namespace bitplan;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

namespace {

const std::string kSpace = "weights: {choices: [int2, int4, int8], range: mse}\nactivations: {choices: [int4, int8]}\n";

/// A small network, a space and its costs. `machines`: key → description or, as "x.csv", table.
struct Setup {
  test::Folder folder;
  std::shared_ptr<Network> network;
  std::shared_ptr<ChoiceTable> table = std::make_shared<ChoiceTable>();
  std::unique_ptr<Space> space;
  std::unique_ptr<CostModel> costs;
  Assignment uniform8;

  explicit Setup(Network net, const std::string& space_text = kSpace,
                 const std::map<std::string, std::string>& machines = {})
      : network(std::make_shared<Network>(std::move(net))) {
    const SpaceSpec spec = SpaceSpec::from(Yaml::parse_text(space_text, "exp.yaml"));
    space = std::make_unique<Space>(make_space(spec, *network, *table));
    uniform8 = uniform_assignment("w8a8", spec, *network, *table);
    std::map<std::string, std::filesystem::path> hardware;
    for (const auto& [key, csv] : machines) {
      folder.write(key + ".csv", "layer,w_bits,a_bits,metric,value,unit\n" + csv);
      hardware[key] = folder.write(key + ".yaml", "kind: table\nname: t\nfile: " + key + ".csv\n");
    }
    costs = std::make_unique<CostModel>(network, table, hardware);
  }

  std::vector<Constraint> read(const std::string& list) const {
    const Yaml document = Yaml::parse_text("constraints: " + list, "exp.yaml");
    return read_constraints(document.at("constraints"), *costs, uniform8);
  }
  std::size_t metric(const std::string& name) const { return costs->metric(name, ""); }

  void each_point(const std::function<void(const Point&)>& visit) const {
    Point point(space->variables().size(), 0);
    for (;;) {
      visit(point);
      std::size_t v = 0;
      while (v < point.size() && point[v] + std::size_t{1} == space->variables()[v].options.size()) point[v++] = 0;
      if (v == point.size()) return;
      ++point[v];
    }
  }
  bool possible(const std::vector<Constraint>& constraints) const {
    bool found = false;
    each_point([&](const Point& p) { found = found || holds(constraints, costs->costs(space->assignment(p))); });
    return found;
  }
};

/// Latencies (and energies) of every pair of a chain of layers, drawn at random: nothing is monotone.
std::string random_table(std::uint64_t seed, int layers, const std::string& metric, const std::string& unit) {
  Rng rng(seed, "constraints_test " + metric);
  std::string csv;
  for (int l = 0; l < layers; ++l)
    for (const int w : {2, 4, 8})
      for (const int a : {4, 8})
        csv += "conv" + std::to_string(l) + ',' + std::to_string(w) + ',' + std::to_string(a) + ',' + metric + ',' +
               std::to_string(1 + rng.below(50)) + ',' + unit + '\n';
  return csv;
}

void check_reach_by_brute_force(const Setup& setup) {
  for (std::size_t m = 0; m < setup.costs->metrics().size(); ++m) {
    INFO(setup.costs->metrics()[m].label());
    std::int64_t low = INT64_MAX, high = 0;
    setup.each_point([&](const Point& p) {
      const auto cost = setup.costs->cost(m, setup.space->assignment(p));
      low = std::min(low, cost), high = std::max(high, cost);
    });
    const Reach reach = reachable(*setup.space, *setup.costs, m);
    CHECK(reach.low == low);
    CHECK(reach.high == high);
    CHECK(reach.low_exact);
    CHECK(reach.high_exact);
  }
}

}  // namespace

TEST_CASE("the reachable interval of every metric equals brute force") {
  check_reach_by_brute_force(Setup(test::small_network(4, false)));
  for (std::uint64_t seed = 1; seed <= 5; ++seed)
    check_reach_by_brute_force(
        Setup(test::small_network(3, false), kSpace,
              {{"t", random_table(seed, 3, "latency", "us") + random_table(seed, 3, "energy", "nJ")}}));
}

TEST_CASE("the reachable interval is exact with ties across activations and with rules") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed)
    check_reach_by_brute_force(
        Setup(test::small_network(4, false),
              kSpace + "ties: [[conv0, conv2], [conv1_out, conv2_out]]\nrules: [{match: conv3, weights: [int8]}]\n",
              {{"t", random_table(seed, 4, "latency", "us")}}));
}

TEST_CASE("constraints are read into base units") {
  const Setup s(test::small_network(3), kSpace, {{"edge", random_table(1, 3, "latency", "us")}});
  const auto read = s.read(
      "[{metric: weight_bytes, max: 1.2kB}, {metric: average_code_bits, max: 4}, {metric: latency, max: 90us},\n"
      " {metric: latency, on: edge, max: 0.5ms}, {metric: bops, max: 12.5M}, {metric: bops, max: 3e6}]");
  REQUIRE(read.size() == 6);
  CHECK(read[0].limit == 1200);
  CHECK(read[0].text == "weight_bytes <= 1.2kB");
  CHECK(read[0].place == "exp.yaml:1:15: constraints[0]");
  CHECK(read[1].limit == 4 * 1260);
  CHECK(read[2].limit == 90000000);
  CHECK(read[2].text == "latency@edge <= 90us");
  CHECK(read[3].limit == 500000000);
  CHECK(read[4].limit == 12500000);
  CHECK(read[5].limit == 3000000);
}

TEST_CASE("a percentage is of the 8-bit uniform plan, rounded down") {
  const Setup s(test::small_network(3), kSpace, {{"edge", random_table(1, 3, "latency", "us")}});
  const auto read = s.read(
      "[{metric: weight_bytes, max: 100%}, {metric: weight_bytes, max: 33.3%}, {metric: bops, max: 50%},\n"
      " {metric: latency, max: 60%}, {metric: average_code_bits, max: 50%}]");
  CHECK(read[0].limit == 1356);
  CHECK(read[1].limit == 451);  // 451.548
  CHECK(read[2].limit == 16 * 1260 * 32);
  CHECK(read[3].limit == s.costs->cost(s.metric("latency"), s.uniform8) * 6 / 10);
  CHECK(read[4].limit == 4 * 1260);
}

TEST_CASE("each mistake in a constraint is reported at its place") {
  const Setup s(test::small_network(3), kSpace,
                {{"a", random_table(1, 3, "latency", "us")}, {"b", random_table(2, 3, "latency", "us")}});
  const auto fails = [&](const std::string& list, const std::string& message) {
    CHECK_THROWS_WITH(s.read(list), Contains(message));
  };
  fails("[{metric: weight_byte, max: 3kB}]",
        "exp.yaml:1:24: constraints[0].metric: 'weight_byte' is not a metric; known: weight_bytes,");
  fails("[{metric: weight_bytes}]", "constraints[0]: the key 'max' is missing");
  fails("[{metric: weight_bytes, min: 3kB}]", "constraints[0].min: is not a known key");
  fails("[{metric: weight_bytes, max: 3ms}]",
        "exp.yaml:1:43: constraints[0].max: '3ms': weight_bytes needs a number of bytes (as 1.2MB or 1200000) or a "
        "percentage of the "
        "8-bit uniform plan");
  fails("[{metric: weight_bytes, max: lots}]", "constraints[0].max: must be a number with a unit");
  fails("[{metric: weight_bytes, max: 0%}]", "constraints[0].max: '0%': a limit must be above 0");
  fails("[{metric: latency, max: 3ms}]", "constraints[0].metric: latency needs 'on', one of: a, b");
  fails("[{metric: latency, on: c, max: 3ms}]",
        "exp.yaml:1:37: constraints[0].on: 'c' is not a machine of this experiment; known: a, b");
  fails("[{metric: energy, on: a, max: 3mJ}]", "constraints[0].on: the hardware 'a' has no figures for energy");
  fails("[{metric: bops, on: a, max: 3}]", "constraints[0].on: bops does not depend on hardware; leave out 'on'");
  fails("{metric: bops, max: 3}", "constraints: must be a list");
}

TEST_CASE("violation sums the relative excess and is 0 exactly when all constraints hold") {
  std::vector<Constraint> constraints(2);
  constraints[0].metric = 0, constraints[0].limit = 100;
  constraints[1].metric = 2, constraints[1].limit = 10;
  const std::vector<std::int64_t> good{100, 999, 10}, bad{150, 0, 11};
  CHECK(holds(constraints, good));
  CHECK(violation(constraints, good) == 0);
  CHECK_FALSE(holds(constraints, bad));
  CHECK(violation(constraints, bad) == Approx(0.5 + 0.1));
  CHECK(holds({}, bad));
}

TEST_CASE("a feasible point holds all constraints whenever brute force finds one, and only then") {
  int feasible = 0, infeasible = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const Setup s(test::small_network(3, false), kSpace,
                  {{"t", random_table(seed, 3, "latency", "us") + random_table(seed, 3, "energy", "nJ")}});
    Rng rng(seed, "limits");
    const auto percent = [&](double low, double high) { return std::to_string(low + (high - low) * rng.unit()); };
    const auto between = [&](const std::string& name, double part) {
      const Reach reach = reachable(*s.space, *s.costs, s.metric(name));
      return static_cast<double>(reach.low) + part * static_cast<double>(reach.high - reach.low);
    };
    const auto constraints =
        s.read("[{metric: latency, max: " + std::to_string(between("latency", 0.3 * rng.unit()) * 1e-6) +
               "us}, {metric: energy, max: " + std::to_string(between("energy", 0.3 * rng.unit()) * 1e-6) +
               "nJ}, {metric: weight_bytes, max: " + percent(30, 70) +
               "%}, {metric: peak_activation_bytes, max: " + percent(90, 110) + "%}]");
    if (s.possible(constraints)) {
      ++feasible;
      const Point point = feasible_point(*s.space, *s.costs, constraints);
      CHECK(holds(constraints, s.costs->costs(s.space->assignment(point))));
    } else {
      ++infeasible;
      CHECK_THROWS_AS(feasible_point(*s.space, *s.costs, constraints), InfeasibleError);
    }
  }
  CHECK(feasible > 5);
  CHECK(infeasible > 5);
}

TEST_CASE("without constraints the point of fewest bits is feasible") {
  const Setup s(test::small_network(3));
  CHECK(feasible_point(*s.space, *s.costs, {}) == Point(6, 0));
}

TEST_CASE("a constraint that cannot hold is named with the nearest value that the space reaches") {
  const Setup s(test::small_network(3));
  // int2: 27 + 16, 72 + 32, 216 + 48 = 411 bytes; 2 * 4 bits an operation
  const auto one = s.read("\n  - {metric: weight_bytes, max: 400}\n  - {metric: average_code_bits, max: 4}");
  CHECK_THROWS_WITH(
      feasible_point(*s.space, *s.costs, one),
      "exp.yaml:2:5: constraints[0]: weight_bytes <= 400 cannot hold: the least that this space reaches is 411 B");
  CHECK_THROWS_AS(feasible_point(*s.space, *s.costs, one), InfeasibleError);
  const auto both = s.read("\n  - {metric: weight_bytes, max: 20%}\n  - {metric: bops, max: 100}");
  CHECK_THROWS_WITH(
      feasible_point(*s.space, *s.costs, both),
      "exp.yaml:2:5: constraints[0]: weight_bytes <= 20% (271 B) cannot hold: the least that this space reaches is 411 "
      "B\n"
      "exp.yaml:3:5: constraints[1]: bops <= 100 cannot hold: the least that this space reaches is 161 k");
  CHECK_NOTHROW(feasible_point(*s.space, *s.costs, s.read("[{metric: weight_bytes, max: 411}]")));
}

TEST_CASE("a value that would be shown like its limit is shown in full") {
  const Setup s(test::small_network(20));
  const auto least = reachable(*s.space, *s.costs, s.metric("weight_bytes")).low;
  CHECK_THROWS_WITH(
      feasible_point(*s.space, *s.costs, s.read("[{metric: weight_bytes, max: " + std::to_string(least - 1) + "}]")),
      EndsWith("(" + std::to_string(least) + " B)"));
}

TEST_CASE("constraints that hold alone but not together are said to conflict") {
  // w2 is fast and w8 frugal, for the one layer that there is
  const std::string rows =
      "conv0,2,4,latency,1,us\nconv0,2,8,latency,1,us\nconv0,4,4,latency,2,us\nconv0,4,8,latency,2,us\n"
      "conv0,8,4,latency,4,us\nconv0,8,8,latency,4,us\nconv0,2,4,energy,4,nJ\nconv0,2,8,energy,4,nJ\n"
      "conv0,4,4,energy,3,nJ\nconv0,4,8,energy,3,nJ\nconv0,8,4,energy,1,nJ\nconv0,8,8,energy,1,nJ\n";
  const Setup s(test::small_network(1), kSpace, {{"t", rows}});
  const auto conflict = s.read("\n  - {metric: latency, max: 2us}\n  - {metric: energy, max: 2.9nJ}");
  CHECK_THROWS_WITH(
      feasible_point(*s.space, *s.costs, conflict),
      "no assignment of this space holds all constraints at once, though each can hold alone; the nearest has\n"
      "exp.yaml:2:5: constraints[0]: latency@t <= 2us: 2 us, holds\n"
      "exp.yaml:3:5: constraints[1]: energy@t <= 2.9nJ: 3.00 nJ, does not hold");
  const auto close = s.read("\n  - {metric: latency, max: 2us}\n  - {metric: energy, max: 2.999999nJ}");
  CHECK_THROWS_WITH(feasible_point(*s.space, *s.costs, close),
                    EndsWith("energy@t <= 2.999999nJ: 3.00 nJ (3000000 fJ), does not hold"));
  const auto fine = s.read("[{metric: latency, max: 2us}, {metric: energy, max: 3nJ}]");
  CHECK(feasible_point(*s.space, *s.costs, fine) == Point{1, 0});
}

TEST_CASE("a feasible point is found in spaces too large to try") {
  const int layers = 24;
  const Setup s(test::small_network(layers, false), kSpace,
                {{"t", random_table(7, layers, "latency", "us") + random_table(7, layers, "energy", "nJ")}});
  REQUIRE(s.space->log10_size() > 15);
  // the limits are the costs of a random point, 5 % wider: it exists, and is far from every extreme
  Rng rng(3, "target");
  Point target;
  for (const Variable& v : s.space->variables())
    target.push_back(static_cast<std::uint8_t>(rng.below(v.options.size())));
  const auto at_target = s.costs->costs(s.space->assignment(target));
  std::vector<Constraint> constraints;
  for (std::size_t m = 0; m < at_target.size(); ++m) {
    constraints.emplace_back();
    constraints.back().metric = m;
    constraints.back().limit = at_target[m] + at_target[m] / 20;
  }
  CHECK(holds(constraints, s.costs->costs(s.space->assignment(feasible_point(*s.space, *s.costs, constraints)))));
}

TEST_CASE("large spaces without a feasible point are proven so where multipliers can") {
  const int layers = 24;
  const Setup s(test::small_network(layers, false), kSpace,
                {{"t", random_table(9, layers, "latency", "us") + random_table(9, layers, "energy", "nJ")}});
  std::vector<Constraint> constraints;
  for (const char* name : {"latency", "energy"}) {
    constraints.emplace_back();
    constraints.back().metric = s.metric(name);
    constraints.back().limit = reachable(*s.space, *s.costs, s.metric(name)).low;  // each alone, never both
    constraints.back().text = name;
  }
  CHECK_THROWS_WITH(feasible_point(*s.space, *s.costs, constraints),
                    Contains("no assignment of this space holds all constraints at once"));
}

TEST_CASE("a table that lacks a pair of the space is refused before the search, whatever is constrained") {
  std::string rows = random_table(1, 3, "latency", "us");
  const auto at = rows.find("conv2,2,4");
  rows.erase(at, rows.find('\n', at) - at + 1);
  const Setup s(test::small_network(3), kSpace, {{"t", rows}});
  CHECK_THROWS_WITH(
      feasible_point(*s.space, *s.costs, {}),
      Contains("hardware 't': its table has no latency of layer 'conv2' with 2-bit weights and 4-bit activations"));
  // the pair is not offered: the gap does no harm
  const Setup without(test::small_network(3), kSpace + "rules: [{match: conv2, weights: [int4]}]\n", {{"t", rows}});
  CHECK_NOTHROW(feasible_point(*without.space, *without.costs, {}));
}

TEST_CASE("a space that offers float on a machine without float figures cannot be constrained there") {
  const Setup s(test::small_network(3),
                "weights: {choices: [int2, int4, int8, float], range: mse}\nactivations: {choices: [int4, int8]}\n",
                {{"t", random_table(1, 3, "latency", "us")}});
  CHECK_THROWS_WITH(feasible_point(*s.space, *s.costs, s.read("[{metric: latency, max: 1ms}]")),
                    Contains("latency@t: its table has no cost of float operands, which the space offers"));
  CHECK_NOTHROW(feasible_point(*s.space, *s.costs, s.read("[{metric: weight_bytes, max: 100%}]")));
}
