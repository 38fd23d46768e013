#include "tests/apps/program.hpp"
#include "tests/catch.hpp"

using namespace bitplan::test;

namespace {

/// `exp` is searched; it must end with this status and a message that holds `message`, in one line, without a crash.
void check_search(const std::string& exp, int status, const std::string& message, const std::string& options = "") {
  const Folder dir("bad");
  put(dir.path / "exp.yaml", exp);
  const auto outcome = run("search " + (dir.path / "exp.yaml").string() + " --out " + (dir.path / "run").string() + options);
  INFO(outcome.err);
  CHECK(outcome.status == status);
  CHECK_THAT(outcome.err, Catch::Contains(message));
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

const std::string kUniform = "[{method: uniform}]";

}  // namespace

TEST_CASE("a missing experiment, model or data file is status 3 and named") {
  const auto none = run("search /nowhere/exp.yaml");
  CHECK(none.status == 3);
  CHECK_THAT(none.err, Catch::Contains("/nowhere/exp.yaml: cannot be read"));
  check_search(replaced(experiment(kUniform), "shapes.onnx", "none.onnx"), 3, "none.onnx: cannot be read");
  check_search(replaced(experiment(kUniform), "holdout.bin", "none.bin"), 3, "none.bin");
}

TEST_CASE("a truncated model is status 3 and named") {
  const Folder dir("cut");
  const auto model = content(examples() + "/shapes.onnx");
  put(dir.path / "cut.onnx", model.substr(0, model.size() / 2));
  check_search(replaced(experiment(kUniform), examples() + "/shapes.onnx", (dir.path / "cut.onnx").string()), 3, "cut.onnx");
}

TEST_CASE("a wrong input shape is status 3 with what the model wants") {
  check_search(replaced(experiment(kUniform), "[N, 3, 32, 32]", "[N, 4, 32, 32]"), 3, "image");
}

TEST_CASE("an unknown key is named with its place and the key that was meant") {
  check_search(replaced(experiment(kUniform), "seed: 3", "sede: 3"), 3, "exp.yaml:14:1: sede: is not a known key; did you mean 'seed'?");
  check_search(experiment("[{method: random, evalutions: 3}]"), 3, "did you mean 'evaluations'?");
}

TEST_CASE("a duplicate key is named with its place") {
  check_search(experiment(kUniform) + "seed: 4\n", 3, "seed: stands here for the second time");
}

TEST_CASE("a wrong unit is named with its place") {
  check_search(experiment(kUniform, "constraints: [{metric: weight_bytes, max: 20ms}]\n"), 3, "constraints[0]");
}

TEST_CASE("a rule that matches nothing is an error at its place") {
  check_search(replaced(experiment(kUniform), "objective:", "  rules: [{match: \"nothing.*\", weights: [int8]}]\nobjective:"), 3, "space.rules[0]");
}

TEST_CASE("an unknown choice lists the known ones at its place") {
  check_search(replaced(experiment(kUniform), "int4", "int9"), 3, "space.weights.choices[1]: 'int9' is not a choice; known:");
}

TEST_CASE("an unknown search method lists the known ones") {
  check_search(experiment("[{method: grady}]"), 3, "grady");
}

TEST_CASE("more samples than the file holds is an error that says how many there are") {
  check_search(replaced(experiment(kUniform), "samples: 64", "samples: 6400000"), 3, "6400000");
}

TEST_CASE("empty data, a label outside the classes and NaN are status 3, naming file and sample") {
  const Folder dir("data");
  const auto selection = examples() + "/selection.bin";
  put(dir.path / "empty.bin", "");
  check_search(replaced(experiment(kUniform), selection, (dir.path / "empty.bin").string()), 3, "empty.bin");
  auto records = content(selection).substr(0, 64 * 3073);
  records[5 * 3073] = 77;
  put(dir.path / "label.bin", records);
  check_search(replaced(experiment(kUniform), selection, (dir.path / "label.bin").string()), 3, "label.bin: sample 5");
  std::string npy("\x93NUMPY\x01\x00\x76\x00", 10), dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (64, 3, 32, 32), }";
  dict.resize(117, ' ');
  npy += dict + '\n' + std::string(64 * 3072 * 4, '\0');
  for (int i = 0; i < 4; ++i) npy[128 + 4 * (3 * 3072 + 7) + static_cast<std::size_t>(i)] = '\xff';  // a NaN in sample 3
  put(dir.path / "nan.npy", npy);
  const auto exp = experiment(kUniform);
  const auto from = exp.find("{kind", exp.find("  selection:")), to = exp.find("\n", from);
  check_search(exp.substr(0, from) + "{kind: npy, inputs: {image: " + (dir.path / "nan.npy").string() + "}}" + exp.substr(to), 3,
               "nan.npy: sample 3");
}

TEST_CASE("a constraint that cannot hold is status 4 with the nearest reachable value, before anything is measured") {
  check_search(experiment(kUniform, "constraints: [{metric: average_code_bits, max: 1.5}]\n"), 4, "2");
}

TEST_CASE("an output directory that cannot be written is status 3") {
  const Folder dir("out");
  put(dir.path / "exp.yaml", experiment(kUniform));
  put(dir.path / "file", "not a folder");
  const auto outcome = run("search " + (dir.path / "exp.yaml").string() + " --out " + (dir.path / "file" / "run").string());
  INFO(outcome.err);
  CHECK(outcome.status == 3);
  CHECK_THAT(outcome.err, Catch::Contains("output directory cannot be made"));
}

TEST_CASE("usage errors are status 2 on stderr") {
  for (const auto* arguments : {"", "serch x", "search", "evaluate x.yaml", "evaluate x.yaml --float --uniform w4a8", "run m.onnx"}) {
    const auto outcome = run(arguments);
    CHECK(outcome.status == 2);
    CHECK(outcome.out.empty());
    CHECK_FALSE(outcome.err.empty());
  }
}

TEST_CASE("every subcommand's help has an example") {
  for (const auto* name : {"search", "inspect", "run", "evaluate", "sensitivity", "cost", "status", "list", "bench"}) {
    const auto outcome = run(std::string(name) + " --help");
    CHECK(outcome.status == 0);
    CHECK_THAT(outcome.out, Catch::Contains("Example:") && Catch::Contains(std::string("bitplan ") + name));
  }
}
