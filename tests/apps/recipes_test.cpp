// Choices that need data or long computing, through `search`, `evaluate` and their files.

#include <nlohmann/json.hpp>
#include <map>
#include <set>
#include <sstream>

#include "tests/apps/program.hpp"
#include "tests/catch.hpp"

using namespace bitplan::test;
using Json = nlohmann::json;
using Catch::Contains;

namespace {

/// The tiny experiment with choices of which two are prepared.
std::string recipes(const std::string& search, const std::string& choices = "[int8, int4+gptq+bias, 'int3:g16+hqq']") {
  auto text = experiment(search);
  const std::string plain = "[int2, int4, int8]";
  return text.replace(text.find(plain), plain.size(), choices);
}

const std::string kStages = "[{method: sensitivity}, {method: greedy, evaluations: 4}, {method: uniform}]";
constexpr int kLayers = 19;

std::set<std::string> files_in(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

struct Search {
  Folder dir;
  std::string exp;
  explicit Search(const std::string& name, const std::string& text = recipes("[{method: uniform}]"))
      : dir("recipes_" + name), exp((dir.path / "exp.yaml").string()) {
    put(exp, text);
  }
  Outcome operator()(const std::string& out, const std::string& more = "", const std::string& launcher = "") const {
    return run("search " + exp + " --json --out " + (dir.path / out).string() + more, launcher);
  }
  std::string trace(const std::string& out, const std::string& more = "", const std::string& launcher = "") const {
    const auto outcome = (*this)(out, more, launcher);
    INFO(outcome.err);
    REQUIRE(outcome.status == 0);
    return Json::parse(outcome.out)["trace"].get<std::string>();
  }
};

}  // namespace

TEST_CASE("a search over prepared weights gives the same trace and the same files on 1 and 2 ranks") {
  const Search search("ranks", recipes(kStages));
  const auto alone = search.trace("alone"), two = search.trace("two", "", std::string(kMpirun) + "2");
  CHECK(alone == two);
  const auto files = files_in(search.dir.path / "alone/weights");
  CHECK(files.size() == 2 * kLayers);
  CHECK(files_in(search.dir.path / "two/weights") == files);
  for (const auto& file : files)
    CHECK(content(search.dir.path / "alone/weights" / file) == content(search.dir.path / "two/weights" / file));
}

TEST_CASE("a plan with prepared weights says codes and biases, and evaluates to its own figures") {
  const Search search("plan", recipes("[{method: uniform}]", "[int4+gptq+bias]"));
  const auto outcome = search("run");
  INFO(outcome.err);
  REQUIRE(outcome.status == 0);
  const auto plan = Json::parse(content(search.dir.path / "run/plans/best.json"));
  REQUIRE(plan["layers"].size() == kLayers);
  for (const auto& layer : plan["layers"]) {
    CHECK(layer["weight"]["rounding"] == "gptq");
    CHECK(layer["weight"].contains("codes"));
    CHECK(layer["weight"].contains("bias"));
  }
  const auto again =
      run("evaluate " + search.exp + " --json --plan " + (search.dir.path / "run/plans/best.json").string());
  REQUIRE(again.status == 0);
  CHECK(Json::parse(again.out)["losses"]["kl"] == Json::parse(outcome.out)["selection"]["kl"]);
}

TEST_CASE("a search resumes from weights that are there, gone, damaged, or nowhere to be kept") {
  const Search search("resume");
  const auto trace = search.trace("run");
  const auto weights = search.dir.path / "run/weights";
  const auto files = files_in(weights);
  CHECK(search.trace("run", " --resume") == trace);
  for (const auto& file : files) put(weights / file, "damaged");
  // Nothing is measured again, but the plan is made from the weights.
  std::filesystem::remove(search.dir.path / "run/run.db");
  std::filesystem::remove_all(search.dir.path / "other");
  std::filesystem::create_directories(search.dir.path / "other");
  std::filesystem::rename(weights, search.dir.path / "other/weights");
  const auto damaged = search("other");
  INFO(damaged.err);
  REQUIRE(damaged.status == 0);
  CHECK(Json::parse(damaged.out)["trace"] == trace);
  CHECK_THAT(damaged.err, Contains("a prepared weight is made again: "));
  CHECK(files_in(search.dir.path / "other/weights") == files);
  put(search.dir.path / "nowhere/weights", "a file in the folder's place");
  const auto nowhere = search("nowhere");
  REQUIRE(nowhere.status == 0);
  CHECK(Json::parse(nowhere.out)["trace"] == trace);
  CHECK_THAT(nowhere.err, Contains("a prepared weight is not kept: "));
}

TEST_CASE("a run that is killed while weights are made goes on with --resume to the same trace") {
  const Search search("killed", recipes("[{method: uniform}]", "[int8, 'int4+gptq:descent+bias']"));
  const auto trace = search.trace("whole");
  search("killed", "", "timeout -s KILL 0.3");
  const bool begun = std::filesystem::exists(search.dir.path / "killed/run.db");
  CHECK(search.trace("killed", begun ? " --resume" : "") == trace);
}

TEST_CASE("evaluate shows every choice of the space, with and without compensation") {
  const Search search("each");
  for (const std::string finish : {"", " --finish bias"}) {
    const auto outcome = run("evaluate " + search.exp + " --each --json" + finish);
    INFO(outcome.err);
    REQUIRE(outcome.status == 0);
    const auto plans = Json::parse(outcome.out);
    REQUIRE(plans.size() == 4);
    CHECK(plans[0]["plan"] == "float");
    CHECK(plans[0]["losses"]["kl"].get<double>() == Approx(0).margin(1e-6));
    std::set<std::string> names;
    for (const auto& plan : plans) names.insert(plan["plan"].get<std::string>());
    CHECK(names == std::set<std::string>{"float", "uniform int8/int8", "uniform int4+gptq+bias/int8",
                                         "uniform int3:g16+hqq/int8"});
    for (const auto& plan : plans) CHECK(plan["losses"]["kl"].get<double>() < 0.2);
  }
}

TEST_CASE("compensation brings the outputs of few bits nearer, on one assignment as in the table of all") {
  const Search search("compensation", recipes("[{method: uniform}]", "[int3]"));
  const auto losses = [&](const std::string& options) {
    const auto outcome = run("evaluate " + search.exp + " --json --on calibration " + options);
    INFO(outcome.err);
    REQUIRE(outcome.status == 0);
    return Json::parse(outcome.out);
  };
  const auto plain = losses("--uniform int3/int8")["losses"];
  const auto compensated = losses("--uniform int3/int8 --finish bias")["losses"];
  CHECK(compensated["mse"].get<double>() < plain["mse"].get<double>());
  CHECK(losses("--each --finish bias")[1]["losses"] == compensated);
}

TEST_CASE("choices that need data are refused without calibration data") {
  auto text = recipes("[{method: uniform}]");
  const auto at = text.find("  calibration:");
  text.erase(at, text.find('\n', at) - at + 1);
  text.replace(text.find("  activations: {choices: [int8]}"), 32, "  activations: {choices: [float]}");
  const Search search("without", text);
  const auto outcome = search("run");
  CHECK(outcome.status == 3);
  CHECK_THAT(outcome.err, Contains("calibration"));
}

TEST_CASE("final passes of a search are kept where they help, and the plan evaluates to its own figures") {
  auto text = recipes("[{method: uniform}]", "[int4+gptq+bias]") + "finish: [asymmetric, sequential, bias]\n";
  const Search search("finish", text);
  const auto outcome = search("run");
  INFO(outcome.err);
  REQUIRE(outcome.status == 0);
  const auto plan = Json::parse(content(search.dir.path / "run/plans/best.json"));
  REQUIRE(!plan["finish"].empty());
  const auto& before = plan["references"].back();
  CHECK(before["name"] == "before the final passes");
  CHECK(plan["loss"]["selection"]["kl"]["value"] < before["loss"]["selection"]["kl"]["value"]);
  const auto again =
      run("evaluate " + search.exp + " --json --plan " + (search.dir.path / "run/plans/best.json").string());
  INFO(again.err);
  REQUIRE(again.status == 0);
  CHECK(Json::parse(again.out)["losses"]["kl"] == plan["loss"]["selection"]["kl"]["value"]);
}

TEST_CASE("the numbers of a bias pass are counted in place of those of choices, 4 bytes each") {
  const Search search("counted", recipes("[{method: uniform}]", "[int4, int4+bias]"));
  const auto costs = [&](const std::string& options) {
    const auto outcome = run("evaluate " + search.exp + " --json --uniform " + options);
    INFO(outcome.err);
    REQUIRE(outcome.status == 0);
    return Json::parse(outcome.out)["costs"];
  };
  const auto bytes = [](const Json& of) { return of["weight_bytes"].get<std::int64_t>(); };
  const Json plain = costs("int4/int8"), biased = costs("int4+bias/int8");
  const Json channel = costs("int4/int8 --finish bias"), element = costs("int4/int8 --finish bias:element");
  CHECK(channel == biased);
  CHECK(costs("int4+bias/int8 --finish bias") == biased);
  CHECK(bytes(channel) > bytes(plain));
  CHECK(bytes(element) > bytes(channel));
  CHECK((bytes(element) - bytes(plain)) % 4 == 0);
  for (const Json& of : {channel, element})
    CHECK(of["average_weight_bits"].get<double>() / plain["average_weight_bits"].get<double>() ==
          Approx(static_cast<double>(bytes(of)) / static_cast<double>(bytes(plain))));
  CHECK(costs("int4+bias/int8 --finish bias:element") == element);
  for (const char* same : {"bops", "average_code_bits", "peak_activation_bytes"}) CHECK(element[same] == plain[same]);
}

TEST_CASE("a bias by element is kept where it helps, counted, written with its shape, and evaluates to its own figures") {
  auto text = recipes("[{method: uniform}]", "[int3]") + "finish: ['bias:element', bias]\n";
  const Search search("element", text.replace(text.find("minimize: kl"), 12, "minimize: mse"));
  const auto outcome = search("run");
  INFO(outcome.err);
  REQUIRE(outcome.status == 0);
  CHECK_THAT(outcome.err, Contains("final pass bias:element: ") && Contains("final pass bias: "));
  const auto plan = Json::parse(content(search.dir.path / "run/plans/best.json"));
  INFO(outcome.err);
  REQUIRE(plan["finish"] == Json{"bias:element"});
  const auto& before = plan["references"].back();
  CHECK(before["name"] == "before the final passes");
  std::int64_t numbers = 0, bytes = 0;
  for (const auto& layer : plan["layers"]) {
    std::int64_t elements = 1;
    for (const auto& n : layer["weight"]["bias_shape"]) elements *= n.get<std::int64_t>();
    CHECK(layer["weight"]["bias_shape"].size() == (layer["op"] == "Conv" ? 3 : 1));
    numbers += elements;
    bytes += layer["costs"]["weight_bytes"].get<std::int64_t>();
  }
  CHECK(plan["costs"]["weight_bytes"] == before["costs"]["weight_bytes"].get<std::int64_t>() + 4 * numbers);
  CHECK(plan["costs"]["weight_bytes"] == bytes);
  const auto again =
      run("evaluate " + search.exp + " --json --plan " + (search.dir.path / "run/plans/best.json").string());
  INFO(again.err);
  REQUIRE(again.status == 0);
  CHECK(Json::parse(again.out)["losses"]["mse"] == plan["loss"]["selection"]["mse"]["value"]);
  CHECK(Json::parse(again.out)["costs"] == plan["costs"]);
}

TEST_CASE("a final pass whose numbers break a constraint is not kept, and the search says so") {
  const Search search("broken", recipes("[{method: uniform}]", "[int3]"));
  const auto costs = run("evaluate " + search.exp + " --json --uniform int3/int8");
  REQUIRE(costs.status == 0);
  const auto bytes = Json::parse(costs.out)["costs"]["weight_bytes"].get<std::int64_t>();
  const auto limited = [&](std::int64_t limit) {
    auto text = recipes("[{method: uniform}]", "[int3]") + "finish: [bias, 'bias:element']\n";
    const std::string other = "{metric: average_code_bits, max: 4}";
    text.replace(text.find(other), other.size(), "{metric: weight_bytes, max: " + std::to_string(limit) + "}");
    put(search.exp, text);
    const auto outcome = search("run" + std::to_string(limit));
    INFO(outcome.err);
    REQUIRE(outcome.status == 0);
    CHECK_THAT(outcome.err, Contains("final pass bias:element: its numbers break weight_bytes <= " +
                                     std::to_string(limit) + " (") &&
                                Contains("), not kept"));
    return outcome.err;
  };
  CHECK_THAT(limited(bytes), Contains("final pass bias: its numbers break weight_bytes <= " + std::to_string(bytes)));
  // Room for the numbers by channel alone.
  CHECK_THAT(limited(bytes + 8192), Contains("final pass bias: kl on selection "));
}

TEST_CASE("a final pass is shown beside what it was compared with") {
  const Search search("compared", recipes("[{method: uniform}]", "[int3+gptq]") +
                                      "finish: [asymmetric, sequential, bias]\n");
  const auto outcome = search("run");
  INFO(outcome.err);
  REQUIRE(outcome.status == 0);
  std::istringstream lines(outcome.err);
  std::string least;  // "0.01 before" or "0.01 after asymmetric": the best of the passes above
  int passes = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string start = "final pass ", metric = ": kl on selection ";
    const auto at = line.find(metric);
    if (!line.starts_with(start) || at == std::string::npos) continue;
    const auto open = line.find(" (", at), close = line.find(')', open);
    REQUIRE(close != std::string::npos);
    const auto compared = line.substr(open + 2, close - open - 2);
    if (least.empty()) CHECK_THAT(compared, Catch::EndsWith(" before"));
    else CHECK(compared == least);
    const auto value = line.substr(at + metric.size(), open - at - metric.size());
    const bool kept = line.find("not kept") == std::string::npos;
    CHECK(kept == (std::stod(value) < std::stod(compared)));
    least = kept ? value + " after " + line.substr(start.size(), at - start.size()) : compared;
    ++passes;
  }
  CHECK(passes == 3);
}

TEST_CASE("the message on --finish names what was given and what is allowed") {
  const Search search("option", recipes("[{method: uniform}]"));
  for (const std::string how : {"--uniform w4a8", "--each"}) {
    const auto outcome = run("evaluate " + search.exp + ' ' + how + " --finish asymmetric,sequential");
    CHECK(outcome.status == 2);
    CHECK_THAT(outcome.err,
               Contains("--finish 'asymmetric,sequential': may have one of sequential and asymmetric, and once"));
  }
}

TEST_CASE("evaluate says what is left out of the choices that it evaluates, and of no others") {
  const Search analytic("alone",
                        recipes("[{method: uniform}]", "[int8, int4+bias:analytic, int3+gptq+bias:analytic]"));
  const auto one = run("evaluate " + analytic.exp + " --json --uniform int4+bias:analytic/int8");
  INFO(one.err);
  CHECK_THAT(one.err, Contains("int4+bias:analytic") && !Contains("int3+gptq"));
  const auto none = run("evaluate " + analytic.exp + " --json --uniform int8/int8");
  INFO(none.err);
  CHECK(none.status == 0);
  CHECK_THAT(none.err, !Contains("bias:analytic"));
}

TEST_CASE("final passes are read strictly") {
  for (const auto& [list, message] : std::map<std::string, std::string>{
           {"[again]", "finish[0]: 'again' is not a final pass; known: sequential, asymmetric, bias, bias:element"},
           {"[bias, bias]", "finish[1]: 'bias' stands here for the second time"}}) {
    const Search search("strict", recipes("[{method: uniform}]") + "finish: " + list + "\n");
    const auto outcome = search("run");
    CHECK(outcome.status == 3);
    CHECK_THAT(outcome.err, Contains(message));
  }
}
