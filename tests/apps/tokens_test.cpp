#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/apps/program.hpp"
#include "tests/catch.hpp"

using namespace bitplan::test;
using Json = nlohmann::json;

namespace {

/// A small GPT-2 of the shared data: 24 tokens, vocabulary 128, tied embedding; empty when it is not there.
std::filesystem::path gpt2() {
  const char* root = std::getenv("BITPLAN_DATA");
  const auto file = std::filesystem::path(root ? root : BITPLAN_SOURCE_DIR "/../shared/data") / "zoo" /
                    "hf_gpt2-dynamo18" / "model.onnx";
  if (std::filesystem::exists(file)) return file;
  WARN("no shared data: skipped");
  return {};
}

/// 12 windows of 24 tokens as uint16.
void put_tokens(const std::filesystem::path& file) {
  std::string bytes;
  std::uint32_t state = 1;
  for (int i = 0; i < 12 * 24; ++i) {
    state = state * 1664525 + 1013904223;
    bytes += static_cast<char>(state >> 25);
    bytes += '\0';
  }
  put(file, bytes);
}

std::string experiment(const std::filesystem::path& model, const std::string& objective, const std::string& more = "") {
  const std::string data = "{kind: tokens, file: tokens.bin, window: 24, samples: 4";
  return "version: 1\nname: tokens\nmodel: {file: " + model.string() + "}\ndata:\n  calibration: " + data +
         "}\n  selection: " + data + ", first: 4}\n  holdout: " + data + ", first: 8}\n" +
         "space:\n  weights: {choices: [int3, int4, int8]}\n  activations: {choices: [int8], attention: true}\n" +
         "objective: {minimize: " + objective + "}\nconstraints: [{metric: average_code_bits, max: 4.5}]\n" +
         "search: [{method: sensitivity}, {method: greedy, evaluations: 4}, {method: ddpg, evaluations: 4, warmup: 2, "
         "hidden: 8}]\nrun: {threads: 1, chunk: 2" +
         more + "}\n";
}

}  // namespace

TEST_CASE("a language model is searched by kl and by nll, with attention's operands as sites") {
  const auto model = gpt2();
  if (model.empty()) return;
  const Folder dir("tokens");
  put_tokens(dir.path / "tokens.bin");
  for (const std::string objective : {"kl", "nll"}) {
    put(dir.path / "exp.yaml", experiment(model, objective));
    const auto found = run("search " + (dir.path / "exp.yaml").string() + " --json --out " + (dir.path / objective).string());
    INFO(found.err);
    REQUIRE(found.status == 0);
    const auto plan = Json::parse(content(dir.path / objective / "plans" / "best.json"));
    CHECK(plan["products"].size() == 8);
    CHECK(plan["loss"]["holdout"].contains("perplexity"));
    const auto again = run("evaluate " + (dir.path / "exp.yaml").string() + " --json --on selection --plan " +
                           (dir.path / objective / "plans" / "best.json").string());
    INFO(again.err);
    REQUIRE(again.status == 0);
    const auto losses = Json::parse(again.out)["losses"];
    CHECK(losses[objective] == plan["loss"]["selection"][objective]["value"]);
  }
}

TEST_CASE("losses do not depend on the memory for float outputs") {
  const auto model = gpt2();
  if (model.empty()) return;
  const Folder dir("tokens_memory");
  put_tokens(dir.path / "tokens.bin");
  std::string first;
  for (const std::string more : {"", ", references: 0B", ", references: 30kB"}) {
    put(dir.path / "exp.yaml", experiment(model, "kl", more));
    const auto outcome = run("evaluate " + (dir.path / "exp.yaml").string() + " --json --uniform w4a8 --on selection");
    INFO(outcome.err);
    REQUIRE(outcome.status == 0);
    const auto losses = Json::parse(outcome.out)["losses"].dump();
    if (first.empty()) first = losses;
    CHECK(losses == first);
  }
  put(dir.path / "exp.yaml", experiment(model, "kl", ", references: 3s"));
  CHECK(run("evaluate " + (dir.path / "exp.yaml").string() + " --float").err.find("run.references: must be a size (as 2GB), is '3s'") != std::string::npos);
}

TEST_CASE("inspect names tied embeddings, and the operands of products when asked") {
  const auto model = gpt2();
  if (model.empty()) return;
  const auto plain = Json::parse(run("inspect --json " + model.string()).out);
  const auto all = Json::parse(run("inspect --json --attention " + model.string()).out);
  CHECK(all["activations"].size() == plain["activations"].size() + 8);
  CHECK(plain["notes"].dump().find("tied embedding: Gather 'm.lm_head', MatMul 'm.lm_head'") != std::string::npos);
  CHECK(plain["layers"].front()["weight_site"] == plain["layers"].back()["weight_site"]);
}

TEST_CASE("attention sites that a network has not are an error at their place") {
  const Folder dir("no_attention");
  auto text = bitplan::test::experiment("[{method: sensitivity}]");
  const std::string from = "activations: {choices: [int8]}", to = "activations: {choices: [int8], attention: true}";
  text.replace(text.find(from), from.size(), to);
  put(dir.path / "exp.yaml", text);
  const auto outcome = run("evaluate " + (dir.path / "exp.yaml").string() + " --float");
  CHECK(outcome.status == 3);
  CHECK(outcome.err.find("space.activations.attention: the network has no product of two computed tensors") != std::string::npos);
}
