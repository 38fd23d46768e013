// What `search --resume` says when it does not go on with the run of the directory.

#include <map>

#include "tests/apps/program.hpp"
#include "tests/catch.hpp"

using namespace bitplan::test;
using Catch::Contains;

namespace {

const std::string kStages = "[{method: uniform}, {method: random, evaluations: 3}]";

/// A finished search in the folder `run`, with a model of its own.
struct Run {
  Folder dir;
  std::string exp, out;
  explicit Run(const std::string& name)
      : dir("resume_" + name), exp((dir.path / "exp.yaml").string()), out((dir.path / "run").string()) {
    auto text = experiment(kStages);
    for (const std::string file : {"shapes.onnx", "selection.bin"}) {
      std::filesystem::copy_file(examples() + '/' + file, dir.path / file);
      const auto from = examples() + '/' + file;
      text.replace(text.find(from), from.size(), file);
    }
    put(exp, text);
    const auto outcome = run("search " + exp + " --out " + out);
    INFO(outcome.err);
    REQUIRE(outcome.status == 0);
  }
  Outcome resume(const std::string& more = "") const { return run("search " + exp + " --resume --out " + out + more); }
  void refuses(const std::string& more, const std::string& what) const {
    const auto outcome = resume(more);
    CHECK(outcome.status == 3);
    CHECK_THAT(outcome.err,
               Contains(out + "/run.db: was begun with another " + what + "; start again in another directory"));
  }
};

}  // namespace

TEST_CASE("a refused resume names the first key that differs, its value and the one that the run was begun with") {
  const Run begun("keys");
  for (const auto& [set, message] : std::map<std::string, std::string>{
           {"search[1].evaluations=60", "search[1].evaluations is 60, was 3"},
           {"seed=8", "seed is 8, was 3"},
           {"run.chunk=8", "run.chunk is 8, was 16"},
           {"run.arithmetic=float", "run.arithmetic is float, was auto"},
           {"data.selection.samples=32", "data.selection.samples is 32, was 64"},
           {"'constraints=[{metric: average_code_bits, max: 5}]'", "constraints[0].max is 5, was 4"}})
    begun.refuses(" --set " + set, "experiment: " + message);
  CHECK(begun.resume(" --set 'constraints=[{metric: average_code_bits, max: 0.5}]'").status == 4);
  // What was refused has not taken the place of what the run was begun with, nor of how it ended.
  CHECK_THAT(content(std::filesystem::path(begun.out) / "status.json"), Contains("\"state\": \"done\""));
  begun.refuses(" --set seed=8", "experiment: seed is 8, was 3");
  begun.refuses(" --set name=other", "experiment: name is other, was tiny");
  CHECK(begun.resume(" --set run.threads=2").status == 0);
}

TEST_CASE("a resume with a key more, a key less or keys in another order is refused by what it is") {
  const Run begun("layout");
  const auto text = content(begun.exp);
  put(begun.exp, text + "hardware: {}\n");
  begun.refuses("", "experiment: hardware is {}, was not there");
  const std::string seed = "seed: 3\n";
  auto without = text;
  put(begun.exp, without.erase(without.find(seed), seed.size()));
  begun.refuses("", "experiment: seed is not there, was 3");
  put(begun.exp, seed + without);
  begun.refuses("", "experiment: its keys stand in another order or layout");
  put(begun.exp, text);
  CHECK(begun.resume().status == 0);
}

TEST_CASE("a refused resume of the same experiment names the file behind it that changed") {
  const Run begun("parts");
  auto data = content(begun.dir.path / "selection.bin");
  data[100] = static_cast<char>(data[100] ^ 1);
  put(begun.dir.path / "selection.bin", data);
  const auto changed = begun.resume();
  CHECK(changed.status == 3);
  CHECK_THAT(changed.err, Contains("run.db: was begun with another selection data (") &&
                              Contains("); no key of the experiment differs; start again in another directory"));
  put(begun.dir.path / "shapes.onnx",
      content(begun.dir.path / "shapes.onnx") + std::string("\x32\x00", 2));  // domain ""
  const auto model = begun.resume();
  INFO(model.err);
  CHECK(model.status == 3);
  CHECK_THAT(model.err, Contains("run.db: was begun with another model file ") && Contains("shapes.onnx ("));
}

TEST_CASE("a resume says so when it has nothing to compare with") {
  const Run begun("gone");
  std::filesystem::remove(begun.dir.path / "run/resolved.yaml");
  const auto outcome = begun.resume(" --set seed=8");
  CHECK(outcome.status == 3);
  CHECK_THAT(outcome.err,
             Contains("run.db: was begun with another experiment, model or data; which, resolved.yaml would say: ") &&
                 Contains("resolved.yaml: cannot be read"));
}

TEST_CASE("a resume without a run begins one and says so") {
  const Folder dir("resume_nothing");
  put(dir.path / "exp.yaml", experiment("[{method: uniform}]"));
  const auto out = (dir.path / "run").string();
  const auto command = "search " + (dir.path / "exp.yaml").string() + " --out " + out + " --resume";
  const auto first = run(command), second = run(command);
  CHECK(first.status == 0);
  CHECK_THAT(first.err, Contains(out + ": nothing to resume, a new run begins\n"));
  CHECK(second.status == 0);
  CHECK_THAT(second.err, Contains("resuming " + out) && !Contains("nothing to resume"));
}
