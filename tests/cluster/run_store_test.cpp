#include "cluster/run_store.hpp"

#include <fstream>
#include <limits>

#include "cluster/sqlite.hpp"
#include "core/error.hpp"
#include "tests/catch.hpp"
#include "tests/cluster/sample_data.hpp"

using namespace bitplan;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

namespace {

RunStore open_fresh(const TemporaryFolder& folder) {
  return RunStore(folder.path(), "exp-1", "0.1", RunStore::Mode::fresh);
}
RunStore open_again(const TemporaryFolder& folder) {
  return RunStore(folder.path(), "exp-1", "0.1", RunStore::Mode::resume);
}

Trial sample_trial(int id) {
  Trial trial;
  trial.id = id;
  trial.stage = "random";
  trial.assignment = {static_cast<ChoiceId>(id), 2, 3};
  trial.measurement.loss = 0.1 * id;
  trial.measurement.costs = {100 - id, 7};
  trial.measurement.feasible = id % 2 == 0;
  trial.measurement.sums = sample_sums(id);
  return trial;
}

}  // namespace

TEST_CASE("stored units come back to the bit, also after the store was closed") {
  const TemporaryFolder folder;
  std::vector<RunStore::Unit> units;
  for (int i = 0; i < 40; ++i) units.push_back(sample_unit(i));
  units[3].sums[0].kl = std::numeric_limits<double>::infinity();
  CHECK_FALSE(open_fresh(folder).resumed());
  CHECK(open_again(folder).add_units(units).empty());
  const RunStore store = open_again(folder);
  CHECK(store.resumed());
  for (const auto& unit : units) {
    const auto found = store.units(unit.assignment, unit.role);
    REQUIRE(found.size() == 1);
    CHECK(found[0].sums == unit.sums);
    CHECK(found[0].chunks.first == unit.chunks.first);
    CHECK(found[0].rank == unit.rank);
  }
  CHECK(store.units({1, 2, 9}, Role::selection).empty());
  CHECK(store.units(units[0].assignment, Role::holdout).empty());
  CHECK(store.counts().units == 40);
  CHECK(store.counts().unit_seconds == 10);
  CHECK(store.work_by_rank().size() == 3);
}

TEST_CASE("an equal duplicate is ignored; one that differs is an alarm and the first stays") {
  const TemporaryFolder folder;
  RunStore store = open_fresh(folder);
  auto unit = sample_unit(5);
  store.add_units({&unit, 1});
  unit.rank = 1;
  CHECK(store.add_units({&unit, 1}).empty());
  const auto before = unit.sums;
  unit.sums[1].kl += 1e-16;
  const auto alarms = store.add_units({&unit, 1});
  REQUIRE(alarms.size() == 1);
  CHECK(alarms[0] ==
        "assignment 5,0,3, role 1, chunks 2 to 3: rank 1 measured other sums than rank 2 before; the first "
        "are kept");
  CHECK(store.alarms() == alarms);
  CHECK(store.units(unit.assignment, unit.role)[0].sums == before);
  CHECK(store.counts().units == 1);
}

TEST_CASE("a failed candidate stays failed with its first reason") {
  const TemporaryFolder folder;
  open_fresh(folder).add_failure({1, 2}, Role::selection, "rank 1: out of memory");
  RunStore store = open_again(folder);
  store.add_failure({1, 2}, Role::selection, "another");
  CHECK(store.failure({1, 2}, Role::selection) == "rank 1: out of memory");
  CHECK_FALSE(store.failure({1, 2}, Role::holdout));
  CHECK_FALSE(store.failure({1, 3}, Role::selection));
  store.add_failure({1, 3}, Role::selection, "rank 0: took longer than evaluation_timeout = 1 s");
  CHECK(store.forget_failures("evaluation_timeout") == 1);
  CHECK_FALSE(store.failure({1, 3}, Role::selection));
  CHECK(store.failure({1, 2}, Role::selection) == "rank 1: out of memory");
}

TEST_CASE("the trace is written once however often it is told, and reads back") {
  const TemporaryFolder folder;
  RunStore store = open_fresh(folder);
  std::vector<Trial> trials{sample_trial(0), sample_trial(1)};
  CHECK(store.add_trials(trials).empty());
  trials.push_back(sample_trial(2));
  trials[2].measurement.status = Measurement::Status::failed;
  trials[2].measurement.reason = "too slow";
  trials[2].measurement.loss = std::numeric_limits<double>::infinity();
  CHECK(store.add_trials(trials).empty());
  const auto back = RunReader(folder.path()).trials();
  REQUIRE(back.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(back[i].id == trials[i].id);
    CHECK(back[i].stage == "random");
    CHECK(back[i].assignment == trials[i].assignment);
    CHECK(back[i].measurement.loss == trials[i].measurement.loss);
    CHECK(back[i].measurement.costs == trials[i].measurement.costs);
    CHECK(back[i].measurement.feasible == trials[i].measurement.feasible);
    CHECK(back[i].measurement.sums == trials[i].measurement.sums);
  }
  CHECK(back[2].measurement.reason == "too slow");
  CHECK(store.counts().trials_failed == 1);
}

TEST_CASE("a resumed run that takes another way raises an alarm and keeps the new trial") {
  const TemporaryFolder folder;
  RunStore store = open_fresh(folder);
  Trial trial = sample_trial(0);
  store.add_trials({&trial, 1});
  trial.measurement.loss = 9;
  CHECK(store.add_trials({&trial, 1}) ==
        std::vector<std::string>{"trial 0 is not what the interrupted run had there; the new one is kept"});
  CHECK(store.trials()[0].measurement.loss == 9);
}

TEST_CASE("a second coordinator is refused while the first lives") {
  const TemporaryFolder folder;
  CHECK_FALSE(RunLock::holder(folder.path()));
  {
    const RunStore store = open_fresh(folder);
    CHECK_THROWS_WITH(open_again(folder), Contains(": is in use by process " + std::to_string(getpid()) + " on "));
    REQUIRE(RunLock::holder(folder.path()));
    CHECK(RunLock::holder(folder.path())->pid == std::to_string(getpid()));
    CHECK(RunLock::holder(folder.path())->this_host);
  }
  CHECK_FALSE(RunLock::holder(folder.path()));
  CHECK_NOTHROW(open_again(folder));
}

TEST_CASE("a reader sees what is stored while the search goes on writing") {
  const TemporaryFolder folder;
  RunStore store = open_fresh(folder);
  auto unit = sample_unit(1);
  store.add_units({&unit, 1});
  const RunReader reader(folder.path());
  CHECK(reader.counts().units == 1);
  unit = sample_unit(2);
  store.add_units({&unit, 1});
  CHECK(reader.counts().units == 2);
  CHECK(reader.meta("identity") == "exp-1");
  CHECK_FALSE(reader.meta("nothing"));
  store.set_meta("seed", "1");
  CHECK(reader.meta("seed") == "1");
}

TEST_CASE("a directory that holds a run is not overwritten, nor taken for another run") {
  const TemporaryFolder folder;
  open_fresh(folder);
  CHECK_THROWS_WITH(open_fresh(folder), EndsWith(": holds a run already; go on with it by --resume, or choose another "
                                                 "directory"));
  CHECK_THROWS_WITH(RunStore(folder.path(), "exp-2", "0.1", RunStore::Mode::resume),
                    EndsWith("run.db: was begun with another experiment, model or data (exp-1, now exp-2); start again "
                             "in another directory"));
  CHECK_THROWS_WITH(RunStore(folder.path(), "exp-1", "0.2", RunStore::Mode::resume),
                    EndsWith("run.db: was begun by bitplan 0.1, this is 0.2; figures of two versions may differ, so "
                             "start again in another directory"));
}

TEST_CASE("resuming where nothing is stored starts anew") {
  const TemporaryFolder folder;
  CHECK_FALSE(open_again(folder).resumed());
  std::filesystem::remove(folder.path() / "run.db");
  std::ofstream(folder.path() / "run.db").flush();  // killed before the first transaction
  CHECK_FALSE(open_again(folder).resumed());
  CHECK(open_again(folder).resumed());
}

TEST_CASE("a directory without a run, another program's file and another schema are input errors") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(RunReader(folder.path()), EndsWith(": holds no run (there is no run.db)"));
  CHECK_THROWS_AS(RunStore(folder.path() / "absent", "exp-1", "0.1", RunStore::Mode::fresh), InputError);
  { Sqlite(folder.path() / "run.db", Sqlite::Mode::create).run("CREATE TABLE recipes(name)"); }
  CHECK_THROWS_WITH(open_again(folder), EndsWith("run.db: is no run of bitplan"));
  CHECK_THROWS_WITH(RunReader(folder.path()), EndsWith("run.db: is no run of bitplan"));
  std::filesystem::remove(folder.path() / "run.db");
  open_fresh(folder);
  { Sqlite(folder.path() / "run.db", Sqlite::Mode::create).run("PRAGMA user_version = 9"); }
  CHECK_THROWS_WITH(open_again(folder), EndsWith("run.db: has schema version 9, this program knows 2"));
  CHECK_THROWS_WITH(RunReader(folder.path()), EndsWith("run.db: has schema version 9, this program knows 2"));
}
