#include <nlohmann/json.hpp>

#include "tests/apps/program.hpp"
#include "tests/catch.hpp"

using namespace bitplan::test;
using Json = nlohmann::json;

TEST_CASE(
    "a search on a rewritten network gives one plan on 1 and 2 ranks, which names its rewrites and is measured with "
    "them alone") {
  const Folder dir("rewrites");
  put(dir.path / "exp.yaml", experiment("[{method: sensitivity}, {method: greedy, evaluations: 3}]"));
  const auto exp = (dir.path / "exp.yaml").string();
  const std::string set = " --set 'model.rewrites=[equalize, {smoothquant: {alpha: 0.4}}, awq]' ";
  const auto alone = run("search " + exp + set + "--json --out " + (dir.path / "one").string());
  INFO(alone.err);
  REQUIRE(alone.status == 0);
  CHECK_THAT(alone.err,
             Catch::Matchers::Contains("equalize: ") && Catch::Matchers::Contains("; float outputs within "));
  const auto two =
      run("search " + exp + set + "--json --out " + (dir.path / "two").string(), std::string(kMpirun) + "2");
  INFO(two.err);
  REQUIRE(two.status == 0);
  CHECK(Json::parse(two.out)["trace"] == Json::parse(alone.out)["trace"]);
  const auto plan = Json::parse(content(dir.path / "one/plans/best.json"));
  REQUIRE(plan["rewrites"].size() == 3);
  CHECK(plan["rewrites"][1]["alpha"] == 0.4);
  CHECK(plan["rewrites"] == Json::parse(content(dir.path / "two/plans/best.json"))["rewrites"]);

  const auto evaluate = "evaluate " + exp + " --json --plan " + (dir.path / "one/plans/best.json").string();
  const auto again = run(evaluate + set);
  INFO(again.err);
  REQUIRE(again.status == 0);
  CHECK(Json::parse(again.out)["losses"]["kl"] == Json::parse(alone.out)["selection"]["kl"]);
  const auto other = run(evaluate);
  CHECK(other.status == 3);
  CHECK_THAT(other.err, Catch::Matchers::Contains("was made for a network with these rewrites: equalize, smoothquant "
                                                  "(alpha 0.4), awq (bits 4, group 128); model.rewrites of the "
                                                  "experiment: none"));
  const auto resumed = run("search " + exp + " --resume --out " + (dir.path / "one").string());
  CHECK(resumed.status == 3);
}

TEST_CASE("wrong rewrites end the program with their place before anything runs") {
  const Folder dir("rewrites_wrong");
  put(dir.path / "exp.yaml", experiment("[{method: sensitivity}]"));
  const auto outcome =
      run("cost " + (dir.path / "exp.yaml").string() + " --uniform w8a8 --set 'model.rewrites=[fold]'");
  CHECK(outcome.status == 3);
  CHECK_THAT(outcome.err, Catch::Matchers::Contains("model.rewrites[0]: 'fold' is not a rewrite; known: equalize, "
                                                    "smoothquant, awq"));
}
