#include "cluster/status_file.hpp"

#include <fstream>
#include <limits>

#include "cluster/options.hpp"
#include "core/error.hpp"
#include "tests/catch.hpp"
#include "tests/cluster/sample_data.hpp"

using namespace bitplan;
using Catch::Matchers::Contains;

TEST_CASE("status.json reads back as it was written") {
  const TemporaryFolder folder;
  RunStatus status;
  status.state = RunState::interrupted;
  status.reason = "SIGUSR1 came";
  status.name = "resnet20-4bit";
  status.version = "0.1.0";
  status.stage = "random";
  status.trials = 12, status.trials_planned = 100, status.trials_invalid = 1, status.trials_failed = 2;
  status.units_done = 80, status.units_reused = 16, status.units_retried = 3;
  status.best = RunStatus::Best{.trial = 7, .stage = "uniform", .loss = 0.125, .costs = {{"weight_bytes", 1234}}};
  status.ranks = 4, status.ranks_lost = 1, status.pid = 99;
  status.seconds = 1.5;
  status.started = utc_now(), status.updated = "2026-11-22T03:00:01Z";
  write_status(folder.path(), status);
  CHECK(to_json(read_status(folder.path())) == to_json(status));
  CHECK(read_status(folder.path()).best->costs.at("weight_bytes") == 1234);
}

TEST_CASE("status.json without a best trial, or with an infinite loss, reads back") {
  const TemporaryFolder folder;
  write_status(folder.path(), RunStatus{});
  CHECK_FALSE(read_status(folder.path()).best);
  RunStatus status;
  status.best.emplace();
  status.best->loss = std::numeric_limits<double>::infinity();
  write_status(folder.path(), status);
  CHECK(read_status(folder.path()).best->loss == std::numeric_limits<double>::infinity());
}

TEST_CASE("every state of a run has a name that reads back") {
  const TemporaryFolder folder;
  for (const auto state :
       {RunState::running, RunState::done, RunState::interrupted, RunState::failed, RunState::infeasible}) {
    RunStatus status;
    status.state = state;
    write_status(folder.path(), status);
    CHECK(read_status(folder.path()).state == state);
  }
}

TEST_CASE("a missing or damaged status.json is an input error that names the file") {
  const TemporaryFolder folder;
  CHECK_THROWS_AS(read_status(folder.path()), InputError);
  const auto write = [&](const std::string& text) { std::ofstream(folder.path() / "status.json") << text; };
  write("{\"state\": \"runn");
  CHECK_THROWS_WITH(read_status(folder.path()), Contains("status.json: is no status file"));
  write("{}");
  CHECK_THROWS_WITH(read_status(folder.path()), Contains("status.json: is no status file"));
  RunStatus status;
  std::string text = to_json(status);
  text.replace(text.find("running"), 7, "resting");
  write(text);
  CHECK_THROWS_WITH(read_status(folder.path()), Contains("status.json: 'resting' is no state of a run"));
}

TEST_CASE("a rank is given up after ten seconds or five heartbeats, whichever is longer") {
  CHECK(ClusterOptions{.heartbeat = 0.5}.silence() == 10);
  CHECK(ClusterOptions{.heartbeat = 4}.silence() == 20);
}
