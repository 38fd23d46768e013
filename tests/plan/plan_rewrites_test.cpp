#include "plan/plan_rewrites.hpp"

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/npy.hpp"
#include "plan/plan.hpp"
#include "tests/catch.hpp"
#include "tests/folder.hpp"

using namespace bitplan;
using Json = nlohmann::json;

namespace {

std::vector<RewriteSpec> specs_of(const std::string& list) {
  return read_rewrites(Yaml::parse_text("r: " + list, "exp.yaml").at("r"));
}

/// A plan of no layers for a network with two rewrites, the second of more channels than stand in the JSON.
Plan rewritten_plan() {
  const auto specs = specs_of("[equalize, {smoothquant: {alpha: 0.6}}]");
  Plan plan;
  plan.model_sha256 = std::string(64, '0');
  plan.rewrites = {{specs[0], {{"h", {"conv0"}, {"conv0.weight", "conv0.bias"}, {"clip"}, {1}, {0.5F, 2.0F}}}},
                   {specs[1], {{"n", {"norm"}, {"norm.weight"}, {}, {2, 3}, std::vector<float>(100, 1.25F)}}}};
  return plan;
}

}  // namespace

TEST_CASE(
    "a plan holds its rewrites with the factors of each fold, long ones in the .npz, and reads back which they were") {
  const test::Folder folder("plan_rewrites");
  const auto file = folder.path / "plan.json";
  write_plan(file, rewritten_plan());
  const auto json = Json::parse(read_text(file));
  REQUIRE(json["rewrites"].size() == 2);
  const auto& equalize = json["rewrites"][0];
  CHECK(equalize["kind"] == "equalize");
  CHECK(equalize["folds"][0] == Json{{"tensor", "h"},
                                     {"from", {"conv0"}},
                                     {"constants", {"conv0.weight", "conv0.bias"}},
                                     {"caps", {"clip"}},
                                     {"inserted", nullptr},
                                     {"to", {1}},
                                     {"factors", {0.5, 2.0}}});
  const auto& smooth = json["rewrites"][1];
  CHECK(smooth["alpha"] == 0.6);
  CHECK(smooth["folds"][0]["factors"] == Json{{"npz", "rewrites.1.folds.0.factors"}});
  const auto arrays = read_npz(folder.path / json["arrays"].get<std::string>());
  CHECK(arrays.at("rewrites.1.folds.0.factors").size() == 100);
  CHECK(read_plan(file).rewrites == std::vector<std::string>{"equalize", "smoothquant (alpha 0.6)"});
}

TEST_CASE("a plan whose rewrites are not those of the experiment is refused naming both") {
  const std::vector<std::string> planned{"equalize", "smoothquant (alpha 0.6)"};
  check_same_rewrites("p.json", planned, specs_of("[equalize, {smoothquant: {alpha: 0.6}}]"));
  CHECK_THROWS_WITH(check_same_rewrites("p.json", planned, specs_of("[smoothquant]")),
                    "p.json: was made for a network with these rewrites: equalize, smoothquant (alpha 0.6); "
                    "model.rewrites of the experiment: smoothquant (alpha 0.5)");
  CHECK_THROWS_WITH(check_same_rewrites("p.json", {}, specs_of("[awq]")),
                    "p.json: was made for a network with these rewrites: none; model.rewrites of the experiment: awq "
                    "(bits 4, group 128)");
  CHECK_THROWS_AS(check_same_rewrites("p.json", planned, specs_of("[{smoothquant: {alpha: 0.6}}, equalize]")),
                  InputError);
}

TEST_CASE("rewrites of a plan that are no rewrites are refused with their place") {
  const auto read = [](const std::string& text) { return read_rewrites_json("p.json", Json::parse(text)); };
  CHECK(read("{}").empty());
  CHECK_THROWS_WITH(read(R"({"rewrites": {}})"), "p.json: rewrites: must be a list");
  CHECK_THROWS_WITH(read(R"({"rewrites": [{"folds": []}]})"), "p.json: rewrites[0]: 'kind' must be text");
  CHECK_THROWS_WITH(read(R"({"rewrites": [{"kind": "awq", "bits": "4"}]})"),
                    "p.json: rewrites[0].bits: must be a number");
}
