#include <nlohmann/json.hpp>

#include "tests/apps/program.hpp"
#include "tests/catch.hpp"

using namespace bitplan::test;
using Json = nlohmann::json;

namespace {

const std::string kStages =
    "[{method: sensitivity}, {method: greedy, evaluations: 10}, {method: random, evaluations: 6}, "
    "{method: ddpg, evaluations: 6, warmup: 2, hidden: 16}, {method: uniform}, {method: refine, evaluations: 8}]";

/// The plan without what may differ between equal runs.
Json plan_of(const std::filesystem::path& run) {
  auto plan = Json::parse(content(run / "plans" / "best.json"));
  for (const auto* key : {"ranks", "threads", "command", "started", "cpu"}) plan["provenance"].erase(key);
  return plan;
}

}  // namespace

TEST_CASE("a search gives the same trace and plan on one process and on 1, 2 and 4 ranks") {
  const Folder dir("ranks");
  put(dir.path / "exp.yaml", experiment(kStages));
  const auto base = "search " + (dir.path / "exp.yaml").string() + " --json --out " + dir.path.string();
  const auto alone = run(base + "/alone");
  INFO(alone.err);
  REQUIRE(alone.status == 0);
  const auto result = Json::parse(alone.out);
  CHECK(result["costs"]["average_code_bits"].get<double>() <= 4.0);
  for (const auto* ranks : {"1", "2", "4"}) {
    const auto many = run(base + "/r" + ranks, std::string(kMpirun) + ranks);
    INFO(many.err);
    REQUIRE(many.status == 0);
    CHECK(Json::parse(many.out)["trace"] == result["trace"]);
    CHECK(plan_of(dir.path / ("r" + std::string(ranks))) == plan_of(dir.path / "alone"));
  }
}

TEST_CASE("the plan is not worse than the best uniform plan that fits, and both have holdout figures") {
  const Folder dir("guard");
  put(dir.path / "exp.yaml", experiment("[{method: random, evaluations: 3}]"));
  const auto outcome = run("search " + (dir.path / "exp.yaml").string() + " --json --out " + (dir.path / "run").string());
  INFO(outcome.err);
  REQUIRE(outcome.status == 0);
  const auto result = Json::parse(outcome.out);
  REQUIRE(result["references"].size() == 2);
  CHECK(result["references"][0]["name"] == "float");
  CHECK(result["references"][0]["holdout"]["kl"].get<double>() == Approx(0).margin(1e-9));
  CHECK(result["selection"]["kl"].get<double>() <= result["references"][1]["selection"]["kl"].get<double>() * (1 + 1e-5));
  CHECK(result["references"][1]["holdout"].contains("kl"));
}

TEST_CASE("a plan reads back to the same assignment, loss and costs") {
  const Folder dir("readback");
  put(dir.path / "exp.yaml", experiment("[{method: sensitivity}, {method: greedy, evaluations: 4}]"));
  const auto exp = (dir.path / "exp.yaml").string();
  const auto searched = run("search " + exp + " --json --out " + (dir.path / "run").string());
  REQUIRE(searched.status == 0);
  const auto result = Json::parse(searched.out);
  for (const auto* role : {"selection", "holdout"}) {
    const auto again = run("evaluate " + exp + " --plan " + (dir.path / "run/plans/best.json").string() + " --json --on " + role);
    INFO(again.err);
    REQUIRE(again.status == 0);
    const auto losses = Json::parse(again.out);
    CHECK(losses["losses"]["kl"] == result[role]["kl"]);
    CHECK(losses["costs"] == result["costs"]);
  }
  for (const auto* file : {"experiment.yaml", "resolved.yaml", "run.db", "status.json", "log.jsonl", "sensitivity.csv", "plans/front.json"})
    CHECK(std::filesystem::exists(dir.path / "run" / file));
  CHECK(Json::parse(run("status " + (dir.path / "run").string() + " --json").out)["state"] == "done");
  CHECK(run("status " + (dir.path / "run").string() + " --field state").out == "done\n");
}

TEST_CASE("a search that is killed at any time goes on with --resume to the same plan, measuring nothing twice") {
  const Folder dir("kill");
  put(dir.path / "exp.yaml", experiment(kStages));
  const auto exp = (dir.path / "exp.yaml").string();
  REQUIRE(run("search " + exp + " --out " + (dir.path / "whole").string()).status == 0);
  const auto whole = plan_of(dir.path / "whole");
  for (const auto* after : {"0.15", "0.4", "0.8", "1.5"}) {
    const auto out = dir.path / ("killed" + std::string(after));
    run("search " + exp + " --out " + out.string(), std::string("timeout -s KILL ") + after);
    if (std::filesystem::exists(out / "plans" / "best.json")) continue;  // it was done by then
    const auto resumed = run("search " + exp + " --resume --out " + out.string());
    INFO(resumed.err);
    REQUIRE(resumed.status == 0);
    CHECK(plan_of(out) == whole);
    const auto status = Json::parse(content(out / "status.json"));
    const auto complete = Json::parse(content(dir.path / "whole" / "status.json"));
    const auto units = [](const Json& s) { return s["units"]["done"].get<int>() + s["units"]["reused"].get<int>(); };
    CHECK(units(status) == units(complete));
  }
}

TEST_CASE("SIGUSR1 ends a search with status 75, resumable to the same plan") {
  const Folder dir("usr1");
  put(dir.path / "exp.yaml", experiment(kStages));
  const auto exp = (dir.path / "exp.yaml").string(), out = (dir.path / "run").string();
  const auto stopped = run("search " + exp + " --out " + out, "timeout -s USR1 0.7");
  if (!std::filesystem::exists(dir.path / "run/plans/best.json")) {
    CHECK(run("status " + out + " --field state").out == "interrupted\n");
    REQUIRE(run("search " + exp + " --resume --out " + out).status == 0);
  }
  REQUIRE(run("search " + exp + " --out " + (dir.path / "whole").string()).status == 0);
  CHECK(plan_of(dir.path / "run") == plan_of(dir.path / "whole"));
}

TEST_CASE("a run directory that holds a run is not overwritten") {
  const Folder dir("twice");
  put(dir.path / "exp.yaml", experiment("[{method: uniform}]"));
  const auto command = "search " + (dir.path / "exp.yaml").string() + " --out " + (dir.path / "run").string();
  REQUIRE(run(command).status == 0);
  const auto again = run(command);
  CHECK(again.status == 3);
  CHECK_THAT(again.err, Catch::Contains("holds a run already; go on with it by --resume"));
}
