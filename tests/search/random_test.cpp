#include "search/random_search.hpp"

#include <set>

#include "tests/catch.hpp"
#include "tests/search/synthetic.hpp"

using namespace bitplan;
using namespace bitplan::test;

TEST_CASE("random search finds as many distinct feasible points under a tight budget as it was asked for") {
  for (const double fraction : {0.02, 0.1, 0.5, 1.0}) {
    Synthetic s = chain(20, 3);
    s.constrain_at("weight_bytes", fraction);
    const Archive archive = s.run({"{method: random, evaluations: 100}"});
    std::int64_t points = 0;
    for (const Trial& trial : archive.trials())
      if (trial.stage == "random") {
        ++points;
        CHECK(trial.measurement.feasible);
      }
    CHECK(points == 100);
  }
}

TEST_CASE("random points do not depend on how many are asked for") {
  Synthetic few = chain(6, 1), many = chain(6, 1);
  const Archive a = few.run({"{method: random, evaluations: 5}"}), b = many.run({"{method: random, evaluations: 50}"});
  for (std::size_t i = 0; i < a.trials().size(); ++i) CHECK(a.trials()[i].assignment == b.trials()[i].assignment);
}

TEST_CASE("a second random stage goes on where the first ended") {
  Synthetic twice = chain(6, 1), once = chain(6, 1);
  const Archive a = twice.run({"{method: random, evaluations: 30}", "{method: random, evaluations: 30}"});
  const Archive b = once.run({"{method: random, evaluations: 60}"});
  CHECK(trace_hash(a, true) == trace_hash(b, true));
}

TEST_CASE("random search ends when the space is exhausted") {
  Synthetic s = chain(2, 1, 1.5, 1.0, {2, 4, 8});
  const Archive archive = s.run({"{method: random, evaluations: 1000}"});
  CHECK(archive.trials().size() == 9);
}

TEST_CASE("without constraints every option of a variable is drawn about equally often") {
  Synthetic s = chain(1, 1);
  Archive archive;
  std::vector<int> drawn(6, 0);
  for (std::uint64_t i = 0; i < 6000; ++i) ++drawn[random_feasible_point(s.problem(archive), i)[0]];
  for (const int count : drawn) {  // 1000 expected, standard deviation 29
    CHECK(count > 850);
    CHECK(count < 1150);
  }
}
