#include "search/sensitivity.hpp"

#include "tests/catch.hpp"
#include "tests/search/synthetic.hpp"

using namespace bitplan;
using namespace bitplan::test;

TEST_CASE("sensitivity measures all float and each variable with each option alone, in batches of at most 64") {
  Synthetic s = chain(12, 1);
  std::vector<std::size_t> sizes;
  SearchEvents events;
  events.on_batch = [&](const Archive& archive) { sizes.push_back(archive.trials().size()); };
  const Archive archive = s.run({"{method: sensitivity}"}, events);
  // 6 uniform plans; all float; 12 weights x 6; 12 activations x 1
  CHECK(sizes == std::vector<std::size_t>{6, 6 + 64, 6 + 1 + 72 + 12});
  CHECK(archive.trials()[6].assignment == s.space->all_float());
  const Problem problem = s.problem(archive);
  for (std::size_t v = 0; v < s.space->variables().size(); ++v)
    for (std::size_t o = 0; o < s.space->variables()[v].options.size(); ++o) {
      const Assignment row = alone(problem, v, o);
      REQUIRE(archive.find(row));
      int quantized = 0;
      for (const ChoiceId choice : row) quantized += choice != kFloat;
      CHECK(quantized == 1);
    }
}

TEST_CASE("tied sites are quantized together and a float option needs no measurement") {
  Synthetic s = chain(3, 1);
  auto variables = s.space->variables();
  variables[0].sites = {0, 1};
  variables[0].options = {variables[0].options[2], kFloat};
  variables.erase(variables.begin() + 1);
  s.space = std::make_unique<Space>(variables, s.network->sites.size());
  Archive archive;
  const Problem problem = s.problem(archive);
  CHECK(alone(problem, 0, 0)[0] == variables[0].options[0]);
  CHECK(alone(problem, 0, 0)[1] == variables[0].options[0]);
  CHECK(alone(problem, 0, 1) == s.space->all_float());
  // all float, 1 of the tied pair, 6 of the third weight, 3 activations
  CHECK(missing_sensitivities(problem, true).size() == 1 + 1 + 6 + 3);
  // activations have one option only: nothing to decide
  CHECK(missing_sensitivities(problem, false).size() == 1 + 1 + 6);
}

TEST_CASE("the table is the loss against all float, never negative, and a failed row counts ten times the worst") {
  Synthetic s = chain(2, 1, 1.5, 1.0, {2, 4, 8});
  Archive archive;
  const Problem problem = s.problem(archive);
  const auto add = [&](const Assignment& a, double loss) {
    Measurement m;
    m.loss = loss;
    archive.add("sensitivity", a, m);
  };
  add(s.space->all_float(), 1.0);
  add(alone(problem, 0, 0), 4.0);
  add(alone(problem, 0, 1), 1.5);
  add(alone(problem, 0, 2), 0.9);
  add(alone(problem, 1, 0), std::numeric_limits<double>::infinity());
  add(alone(problem, 1, 1), 2.0);
  CHECK(missing_sensitivities(problem, false) == std::vector<Assignment>{alone(problem, 1, 2)});
  add(alone(problem, 1, 2), 1.0);
  CHECK(sensitivity_table(problem) == OptionTable{{3.0, 0.5, 0.0}, {30.0, 1.0, 0.0}, {0.0}, {0.0}});
}
