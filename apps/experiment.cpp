#include "apps/experiment.hpp"

#include <algorithm>

#include <set>

#include "search/searcher.hpp"

namespace bitplan {
namespace {

/// [N, 3, 32, 32]: numbers, or N (any word) for the free batch.
Shape read_shape(const Yaml& node) {
  Shape shape;
  for (const auto& item : node.items()) {
    if (item.text() == "N")
      shape.push_back(-1);
    else
      shape.push_back(item.integer_in(1, std::int64_t{1} << 32));
  }
  for (std::size_t i = 1; i < shape.size(); ++i)
    if (shape[i] == -1) node.items()[i].fail("N, the batch, must be the first dimension");
  return shape;
}

void read_model(const Yaml& node, Experiment& e) {
  node.only({"file", "inputs", "rewrites"});
  e.model = node.at("file").path();
  if (const auto inputs = node.find("inputs"))
    for (const auto& name : inputs->keys()) e.import.shapes[name] = read_shape(inputs->at(name));
  if (const auto list = node.find("rewrites")) e.rewrites = read_rewrites(*list);
}

std::size_t read_bytes(const Yaml& node) {
  const auto q = node.quantity();
  if (q.kind != Quantity::Kind::bytes || q.value < 0) node.fail("must be a size (as 2GB), is '" + node.text() + "'");
  return static_cast<std::size_t>(q.value);
}

Arithmetic read_arithmetic(const Yaml& node) {
  const std::string word = node.text();
  if (word == "auto") return Arithmetic::automatic;
  if (word == "integer") return Arithmetic::integer;
  if (word == "float") return Arithmetic::floating;
  node.fail("must be auto, integer or float, is '" + word + "'");
}

RunSpec read_run(const Yaml& node) {
  node.only({"threads", "evaluation_timeout", "retries", "heartbeat", "chunk", "arithmetic", "cache", "references"});
  RunSpec run;
  if (const auto n = node.find("threads")) run.threads = static_cast<int>(n->integer_in(0, 4096));
  if (const auto n = node.find("evaluation_timeout")) {
    run.evaluation_timeout_s = n->seconds();
    if (run.evaluation_timeout_s < 1) n->fail("must be at least 1s, is '" + n->text() + "'");
  }
  if (const auto n = node.find("retries")) run.retries = static_cast<int>(n->integer_in(0, 100));
  if (const auto n = node.find("heartbeat")) {
    run.heartbeat_s = n->seconds();
    if (run.heartbeat_s < 0.1 || run.heartbeat_s > 600) n->fail("must be from 100ms to 10m, is '" + n->text() + "'");
  }
  if (const auto n = node.find("chunk")) run.chunk = n->integer_in(1, 65536);
  if (const auto n = node.find("arithmetic")) run.arithmetic = read_arithmetic(*n);
  if (const auto n = node.find("cache")) run.cache_bytes = read_bytes(*n);
  if (const auto n = node.find("references")) run.reference_bytes = read_bytes(*n);
  return run;
}

const Metric* read_objective(const Yaml& node) {
  node.only({"minimize", "maximize"});
  const auto low = node.find("minimize"), high = node.find("maximize");
  if (low.has_value() == high.has_value()) node.fail("needs either minimize or maximize");
  const auto& which = low ? *low : *high;
  try {
    const auto& metric = find_metric(which.text());
    if (metric.minimize != low.has_value())
      which.fail("'" + which.text() + "' is to be " + (metric.minimize ? "minimized" : "maximized"));
    return &metric;
  } catch (const InputError& e) {
    if (std::string(e.what()).find(which.key_path()) != std::string::npos) throw;
    which.fail(e.what());
  }
}

std::vector<std::string> read_finish(const Yaml& list) {
  std::vector<std::string> passes;
  for (const Yaml& item : list.items()) {
    const std::string pass = item.text();
    try {
      finish_named(std::span(&pass, 1));
    } catch (const InputError& e) {
      item.fail(e.what());
    }
    if (std::find(passes.begin(), passes.end(), pass) != passes.end()) item.fail("'" + pass + "' stands here for the second time");
    passes.push_back(pass);
  }
  return passes;
}

std::uint64_t read_seed(const Yaml& node) {
  return static_cast<std::uint64_t>(node.integer_in(0, std::int64_t{1} << 53));
}

}  // namespace

Experiment Experiment::from(const Yaml& document) {
  document.only({"version", "name", "model", "data", "space", "hardware", "objective", "constraints", "search", "finish",
                 "seed", "run", "output"});
  if (const auto version = document.at("version"); version.integer() != 1)
    version.fail("is " + version.text() + "; this program reads version 1");
  const auto data = document.at("data");
  data.only({"calibration", "selection", "holdout"});
  const auto constraints = document.find("constraints");
  Experiment e{.document = document,
               .name = document.at("name").text(),
               .calibration = DataSpec::from(data.at("calibration")),
               .selection = DataSpec::from(data.at("selection")),
               .holdout = DataSpec::from(data.at("holdout")),
               .space = SpaceSpec::from(document.at("space")),
               .objective = read_objective(document.at("objective")),
               .constraints = constraints ? *constraints : Yaml::parse_text("[]", "none")};
  read_model(document.at("model"), e);
  if (const auto hardware = document.find("hardware"))
    for (const auto& name : hardware->keys()) e.hardware[name] = hardware->at(name).path();
  e.stages = document.at("search").items();
  for (const auto& stage : e.stages) find_searcher(stage);  // an unknown method is said before anything runs
  if (e.stages.empty()) document.at("search").fail("needs at least one stage");
  if (const auto finish = document.find("finish")) e.finish = read_finish(*finish);
  if (const auto seed = document.find("seed")) e.seed = read_seed(*seed);
  if (const auto run = document.find("run")) e.run = read_run(*run);
  e.import.batch = e.run.chunk;
  e.import.attention_sites = e.space.attention;
  e.output = "runs/" + e.name;
  if (const auto output = document.find("output")) {
    output->only({"directory"});
    if (const auto directory = output->find("directory")) e.output = directory->text();
  }
  return e;
}

std::string Experiment::identity() const {
  return "chunk: " + std::to_string(run.chunk) +
         "\narithmetic: " + std::to_string(static_cast<int>(run.arithmetic)) + '\n' + identity_text(document);
}

std::string identity_text(const Yaml& document) {
  std::string text;
  for (const auto& key : document.keys())
    if (std::find(kNotIdentity.begin(), kNotIdentity.end(), key) == kNotIdentity.end())
      text += key + ":\n" + document.at(key).dump();
  return text;
}

Yaml load_document(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  auto document = Yaml::parse_file(file);
  for (const auto& assignment : overrides) document = document.with(assignment);
  return document;
}

}  // namespace bitplan
