#include "core/yaml.hpp"

#include <cstdlib>

#include "core/error.hpp"
#include "tests/catch.hpp"

using namespace bitplan;
using Catch::Matchers::Equals;

namespace {
Yaml doc(const std::string& text) { return Yaml::parse_text(text, "t.yaml"); }
}  // namespace

TEST_CASE("a YAML value knows its file, line, column and key path") {
  const auto y = doc("a:\n  b: [1, 2, x]\n");
  const auto item = y.at("a").at("b").items()[2];
  CHECK(item.place() == "t.yaml:2:13");
  CHECK(item.key_path() == "a.b[2]");
  CHECK_THROWS_WITH(item.integer(), "t.yaml:2:13: a.b[2]: must be a number, is 'x'");
}

TEST_CASE("a duplicate key is an error with its place") {
  CHECK_THROWS_WITH(doc("a: 1\nb:\n  c: 1\n  c: 2\n"), "t.yaml:4:3: b.c: stands here for the second time");
}

TEST_CASE("an unknown key is an error that names the nearest known one") {
  const auto y = doc("weights:\n  choces: [int4]\n");
  CHECK_THROWS_WITH(y.at("weights").only({"choices", "range"}),
                    "t.yaml:2:3: weights.choces: is not a known key; did you mean 'choices'?");
  CHECK_THROWS_WITH(doc("zzzzzz: 1").only({"a", "b"}), "t.yaml:1:1: zzzzzz: is not a known key; known: a, b");
}

TEST_CASE("a missing key is an error of the map that lacks it") {
  CHECK_THROWS_WITH(doc("m: {a: 1}").at("m").at("b"), "t.yaml:1:4: m: the key 'b' is missing");
}

TEST_CASE("text that is no YAML is an error with its place") {
  CHECK_THROWS_WITH(doc("a: [1, 2\nb: 3\n"), Catch::StartsWith("t.yaml:2:") && Catch::Contains("is not valid YAML"));
}

TEST_CASE("booleans are true and false only, not YAML 1.1's yes and on") {
  CHECK(doc("a: true").at("a").boolean());
  CHECK_THROWS_WITH(doc("a: yes").at("a").boolean(), "t.yaml:1:4: a: must be true or false, is 'yes'");
}

TEST_CASE("numbers out of range name the range and the value") {
  CHECK_THROWS_WITH(doc("a: 70").at("a").integer_in(1, 64), "t.yaml:1:4: a: must be from 1 to 64, is 70");
  CHECK_THROWS_WITH(doc("a: 1.5").at("a").integer(), "t.yaml:1:4: a: must be a whole number, is '1.5'");
  CHECK_THROWS_WITH(doc("a: 2").at("a").number_in(0, 0.5), "t.yaml:1:4: a: must be from 0 to 0.5, is 2");
}

TEST_CASE("a quantity with an unknown unit is an error") {
  CHECK(doc("a: 1.2MB").at("a").quantity().value == 1.2e6);
  CHECK_THROWS_WITH(doc("a: 1.2MX").at("a").quantity(), Catch::StartsWith("t.yaml:1:4: a: must be a number with a unit"));
  CHECK_THROWS_WITH(doc("a: 5MB").at("a").seconds(), Catch::Contains("must be a time"));
}

TEST_CASE("paths start at the file's folder and know environment variables with defaults") {
  setenv("BITPLAN_TEST_DIR", "/data", 1);
  const auto y = Yaml::parse_text("a: m.onnx\nb: ${env:BITPLAN_TEST_DIR}/x\nc: ${env:BITPLAN_NOT_SET:-/d}/y\nd: ${env:BITPLAN_NOT_SET}/y\n",
                                  "exp/t.yaml");
  CHECK(y.at("a").path() == "exp/m.onnx");
  CHECK(y.at("b").path() == "/data/x");
  CHECK(y.at("c").path() == "/d/y");
  CHECK_THROWS_WITH(y.at("d").path(), "exp/t.yaml:4:4: d: the environment variable BITPLAN_NOT_SET is not set");
}

TEST_CASE("an override by --set replaces values, adds keys, and is cited in messages") {
  const auto y = doc("search:\n  - {method: random, evaluations: 5}\nseed: 1\n");
  const auto changed = y.with("search[0].evaluations=many").with("run={threads: 2}").with("seed=7");
  CHECK(changed.at("seed").integer() == 7);
  CHECK(changed.at("run").at("threads").integer() == 2);
  CHECK(y.at("seed").integer() == 1);
  CHECK_THROWS_WITH(changed.at("search").items()[0].at("evaluations").integer(),
                    "--set search[0].evaluations: search[0].evaluations: must be a number, is 'many'");
  CHECK_THROWS_WITH(y.with("search[3].method=x"), "--set search[3].method: there is no item [3]");
  CHECK(y.with("nope.x=1").at("nope").at("x").integer() == 1);
  CHECK_THROWS_WITH(y.with("nope[0]=1"), Catch::Contains("nope"));
  CHECK_THROWS_AS(y.with("nothing"), UsageError);
}

TEST_CASE("a document that is dumped reads back the same") {
  const auto y = doc("a: {b: [1, 2], c: \"x: y\"}\nd: text with blanks\n");
  const auto again = doc(y.dump());
  CHECK(again.dump() == y.dump());
  CHECK(again.at("a").at("c").text() == "x: y");
}
