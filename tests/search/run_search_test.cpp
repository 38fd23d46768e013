#include "search/run_search.hpp"

#include <set>

#include "core/error.hpp"
#include "search/sensitivity.hpp"
#include "tests/catch.hpp"
#include "tests/search/synthetic.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

/// Four layers with activations of 4 or 8 bits, under a size and an operations limit.
Synthetic small_problem(std::uint64_t seed = 1) {
  Synthetic s = chain(4, seed, 1.5, 0.7, {2, 4, 8}, {4, 8});
  s.constrain_at("weight_bytes", 0.3);
  s.constrain_at("bops", 0.4);
  return s;
}

/// A short stage of every method.
std::string short_stage(const SearcherEntry& entry) {
  const std::string name(entry.name);
  if (name == "uniform" || name == "sensitivity") return "{method: " + name + "}";
  if (name == "ddpg") return "{method: ddpg, episodes: 12, warmup: 4, hidden: 8}";
  return "{method: " + name + ", evaluations: 20}";
}

std::string message_of(Synthetic& s, const std::string& stage) {
  try {
    s.run({"{method: random}", stage});
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE(
    "every searcher makes the same trace again for the same seed, and other losses do not come in by the back door") {
  for (const SearcherEntry& entry : searchers()) {
    CAPTURE(std::string(entry.name));
    Synthetic first = small_problem(), second = small_problem();
    const auto a = first.run({short_stage(entry)}), b = second.run({short_stage(entry)});
    CHECK(trace_hash(a, true) == trace_hash(b, true));
    CHECK(a.trials().size() == b.trials().size());
  }
}

TEST_CASE("searchers that draw random numbers make another trace for another seed") {
  for (const std::string stage :
       {"{method: random, evaluations: 20}", "{method: ddpg, episodes: 12, warmup: 4, hidden: 8}"}) {
    Synthetic first = small_problem(), second = small_problem();
    second.seed = 2;
    CHECK(trace_hash(first.run({stage}), false) != trace_hash(second.run({stage}), false));
  }
}

TEST_CASE(
    "every searcher proposes points of the space that hold all constraints, but for uniform plans and single "
    "sensitivities") {
  for (const SearcherEntry& entry : searchers()) {
    Synthetic s = small_problem();
    const Archive archive = s.run({short_stage(entry)});
    const Problem problem = s.problem(archive);
    std::set<Assignment> rows;
    rows.insert(s.space->all_float());
    for (std::size_t v = 0; v < s.space->variables().size(); ++v)
      for (std::size_t o = 0; o < s.space->variables()[v].options.size(); ++o) rows.insert(alone(problem, v, o));
    for (const Trial& trial : archive.trials()) {
      CAPTURE(std::string(entry.name), trial.id);
      if (trial.stage == "uniform" || rows.count(trial.assignment)) continue;
      CHECK(s.space->point(trial.assignment).has_value());
      CHECK(holds(s.constraints, s.costs->costs(trial.assignment)));
      CHECK(trial.measurement.feasible);
    }
    const Trial* best = archive.best();
    REQUIRE(best);
    CHECK(holds(s.constraints, s.costs->costs(best->assignment)));
  }
}

TEST_CASE("no searcher asks for more than it planned") {
  for (const SearcherEntry& entry : searchers()) {
    CAPTURE(std::string(entry.name));
    Synthetic s = small_problem();
    std::map<std::string, std::int64_t> planned;
    SearchEvents events;
    events.on_stage = [&](const std::string& stage, std::int64_t count) { planned.emplace(stage, count); };
    const Archive archive = s.run({short_stage(entry)}, events);
    std::map<std::string, std::int64_t> asked;
    for (const Trial& trial : archive.trials()) ++asked[trial.stage];
    for (const auto& [stage, count] : asked) CHECK(count <= planned.at(stage));
  }
}

TEST_CASE("the uniform plans of the space are measured first, each once") {
  Synthetic s = small_problem();
  const Archive archive = s.run({"{method: uniform}", "{method: random, evaluations: 3}"});
  const auto points = uniform_points(*s.space, *s.choices);
  REQUIRE(points.size() == 6);  // 3 weight choices x 2 activation choices
  for (std::size_t i = 0; i < points.size(); ++i) {
    CHECK(archive.trials()[i].assignment == s.space->assignment(points[i]));
    CHECK(archive.trials()[i].stage == "uniform");
  }
  CHECK(archive.trials().size() == 9);
  CHECK(s.measured == 9);
}

TEST_CASE("where a uniform choice is not offered the next one with as many bits or more stands in, else the largest") {
  ChoiceTable table;
  const auto id = [&](int bits) {
    return table.add(parse_choice("int" + std::to_string(bits), ChoiceDefaults::weights(), ChoiceDefaults::weights()));
  };
  const ChoiceId int2 = id(2), int4 = id(4), int6 = id(6), int8 = id(8);
  std::vector<Variable> variables(3);
  for (std::size_t v = 0; v < 3; ++v) variables[v].sites = {static_cast<SiteId>(v)};
  variables[0].options = {int2, int4, int8};
  variables[1].options = {int6, int8};
  variables[2].options = {int2, int4};
  const Space space(variables, 3);
  const auto points = uniform_points(space, table);
  CHECK(points == std::vector<Point>{{0, 0, 0}, {1, 0, 1}, {2, 0, 1}, {2, 1, 1}});  // 2, 4, 6 and 8 bits
}

TEST_CASE("uniform plans that rules make equal are one plan") {
  ChoiceTable table;
  const auto defaults = ChoiceDefaults::weights();
  const ChoiceId int2 = table.add(parse_choice("int2", defaults, defaults)),
                 int4 = table.add(parse_choice("int4", defaults, defaults));
  std::vector<Variable> variables(2);
  variables[0].options = {int4};
  variables[0].sites = {0};
  variables[1].options = {int2};
  variables[1].sites = {1};
  CHECK(uniform_points(Space(variables, 2), table).size() == 1);
}

TEST_CASE("what earlier stages measured is not measured again") {
  Synthetic s = small_problem();
  const Archive archive = s.run(
      {"{method: sensitivity}", "{method: sensitivity}", "{method: uniform}", "{method: greedy, evaluations: 9}"});
  CHECK(s.measured == static_cast<std::int64_t>(archive.trials().size()));
  std::set<Assignment> distinct;
  for (const Trial& trial : archive.trials()) distinct.insert(trial.assignment);
  CHECK(distinct.size() == archive.trials().size());
}

TEST_CASE("a measurement that fails or is invalid is infinite, keeps its reason and never becomes best") {
  Synthetic s = small_problem();
  Archive archive;
  const Problem problem = s.problem(archive);
  int calls = 0;
  const auto measure = [&](std::span<const Assignment> batch) {
    auto results = s.measure(batch);
    for (auto& m : results) {
      const int kind = calls++ % 3;
      if (kind == 0) m.status = Measurement::Status::failed, m.reason = "two ranks died";
      if (kind == 1) m.sums.kl = std::nan("");
    }
    return results;
  };
  run_search(problem, archive, find_metric("kl"),
             {Yaml::parse_text("{method: random, evaluations: 20}", "e"),
              Yaml::parse_text("{method: greedy, evaluations: 20}", "e")},
             measure, {});
  for (const Trial& trial : archive.trials()) {
    const auto status = trial.id % 3 == 0   ? Measurement::Status::failed
                        : trial.id % 3 == 1 ? Measurement::Status::invalid
                                            : Measurement::Status::ok;
    CHECK(trial.measurement.status == status);
    CHECK(std::isfinite(trial.measurement.loss) == (status == Measurement::Status::ok));
    if (status == Measurement::Status::failed) CHECK(trial.measurement.reason == "two ranks died");
  }
  REQUIRE(archive.best());
  CHECK(archive.best()->id % 3 == 2);
}

TEST_CASE("every searcher ends when all measurements fail, and there is no best plan") {
  for (const SearcherEntry& entry : searchers()) {
    CAPTURE(std::string(entry.name));
    Synthetic s = small_problem();
    Archive archive;
    const Problem problem = s.problem(archive);
    const auto measure = [&](std::span<const Assignment> batch) {
      auto results = s.measure(batch);
      for (auto& m : results) m.status = Measurement::Status::failed;
      return results;
    };
    run_search(problem, archive, find_metric("kl"), {Yaml::parse_text(short_stage(entry), "e")}, measure, {});
    CHECK(archive.best() == nullptr);
  }
}

TEST_CASE("every searcher gets through a space without a decision and one without constraints") {
  for (const SearcherEntry& entry : searchers()) {
    CAPTURE(std::string(entry.name));
    Synthetic fixed = chain(2, 1, 1.5, 1.0, {4}, {8});
    const Archive one = fixed.run({short_stage(entry)});
    CHECK(one.best()->assignment == fixed.space->assignment({0, 0, 0, 0}));
    Synthetic open = chain(2, 1, 1.5, 1.0, {2, 4}, {4, 8});
    const Archive all = open.run({short_stage(entry)});
    CHECK(all.best()->assignment == open.space->assignment({1, 1, 1, 1}));
  }
}

TEST_CASE("a mistake in the settings of any stage shows before anything is measured") {
  Synthetic s = small_problem();
  CHECK_THAT(
      message_of(s, "{method: greddy}"),
      Catch::Contains("exp.yaml:1:10: method: 'greddy' is not a search method; known: uniform, random, sensitivity, "
                      "greedy, refine, ddpg"));
  CHECK_THAT(message_of(s, "{evaluations: 4}"), Catch::Contains("method"));
  for (const SearcherEntry& entry : searchers()) {
    const std::string text = message_of(s, "{method: " + std::string(entry.name) + ", evalutions: 4}");
    CHECK_THAT(text, Catch::StartsWith("exp.yaml:1:") && Catch::Contains("evalutions"));
  }
  CHECK_THAT(message_of(s, "{method: refine, evaluations: 0}"), Catch::Contains("evaluations"));
  CHECK_THAT(message_of(s, "{method: ddpg, warmup: -1}"), Catch::Contains("warmup"));
  CHECK_THAT(message_of(s, "{method: ddpg, hidden: many}"), Catch::Contains("hidden"));
  CHECK_THAT(message_of(s, "{method: ddpg, episodes: 3, evaluations: 4}"),
             Catch::Contains("evaluations: is the same as episodes, which is given too"));
  CHECK(s.measured == 0);
}

TEST_CASE("progress is told once a stage and once a batch") {
  Synthetic s = small_problem();
  std::vector<std::string> stages;
  std::vector<std::size_t> sizes;
  SearchEvents events;
  events.on_stage = [&](const std::string& stage, std::int64_t planned) {
    stages.push_back(stage + " " + std::to_string(planned));
  };
  events.on_batch = [&](const Archive& archive) { sizes.push_back(archive.trials().size()); };
  s.run({"{method: random, evaluations: 20}"}, events);
  CHECK(stages == std::vector<std::string>{"uniform 6", "random 20"});
  CHECK(sizes == std::vector<std::size_t>{6, 22, 26});
}
