#pragma once
// Runs the built program as a user would.

#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/folder.hpp"

namespace bitplan::test {

struct Outcome {
  int status = -1;
  std::string out, err;
};

inline std::string content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void put(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

/// `launcher bitplan arguments` by the shell; launcher may be empty or "mpirun …".
inline Outcome run(const std::string& arguments, const std::string& launcher = "") {
  static int count = 0;
  const auto base = std::filesystem::temp_directory_path() / ("bitplan_run_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
  const auto out = base.string() + ".out", err = base.string() + ".err";
  const int raw = std::system((launcher + " " BITPLAN_PROGRAM " " + arguments + " >" + out + " 2>" + err).c_str());
  Outcome outcome{WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw), content(out), content(err)};
  std::filesystem::remove(out);
  std::filesystem::remove(err);
  return outcome;
}

inline std::string examples() { return BITPLAN_SOURCE_DIR "/examples"; }

/// A small experiment on the shipped example: 64 images each, few choices; `search` is YAML of the stages.
inline std::string experiment(const std::string& search, const std::string& extra = "constraints: [{metric: average_code_bits, max: 4}]\n") {
  const auto data = [](const std::string& file) {
    return "{kind: cifar10, file: " + examples() + "/" + file + ", samples: 64, mean: [.5, .5, .5], std: [.25, .25, .25]}\n";
  };
  return "version: 1\nname: tiny\nmodel: {file: " + examples() + "/shapes.onnx, inputs: {image: [N, 3, 32, 32]}}\n"
         "data:\n  calibration: " + data("calibration.bin") + "  selection: " + data("selection.bin") + "  holdout: " + data("holdout.bin") +
         "space:\n  weights: {choices: [int2, int4, int8], range: mse}\n  activations: {choices: [int8]}\n"
         "objective: {minimize: kl}\n" + extra + "search: " + search + "\nseed: 3\nrun: {threads: 1, chunk: 16}\n";
}

inline constexpr const char* kMpirun = "mpirun --allow-run-as-root --oversubscribe -n ";

}  // namespace bitplan::test
