#include <unistd.h>

#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/commands.hpp"
#include "apps/search_ranks.hpp"
#include "apps/study.hpp"
#include "apps/table.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/parallel.hpp"
#include "core/units.hpp"
#include "search/run_search.hpp"

namespace bitplan {
namespace {

/// A file of examples/: beside the installed program, else in the source tree it was built from.
std::filesystem::path shipped(const std::string& name) {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto installed = program.parent_path().parent_path() / "share" / "bitplan" / "examples" / name;
  if (!error && std::filesystem::exists(installed)) return installed;
  const auto source = std::filesystem::path(BITPLAN_SOURCE_DIR) / "examples" / name;
  if (std::filesystem::exists(source)) return source;
  throw InputError("examples/" + name + " is neither beside the program nor in " BITPLAN_SOURCE_DIR "; name an experiment");
}

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

int signature(const BenchOptions& options) {
  SearchOptions search;
  search.experiment = options.experiment.empty() ? shipped("signature.yaml") : options.experiment;
  search.out = std::filesystem::temp_directory_path() / ("bitplan-signature-" + std::to_string(::getpid()));
  search.quiet = true;
  const int status = search_on_ranks(search, [&](const SearchResult& result) {
    if (options.json) std::cout << nlohmann::ordered_json{{"signature", result.signature}}.dump() << std::endl;
    else std::cout << result.signature << std::endl;
  });
  std::error_code ignored;
  std::filesystem::remove_all(*search.out, ignored);
  return status;
}

struct Row {
  std::string name;
  double first_s = 0, seconds = 0, samples_per_s = 0;
};

/// First evaluation (weights are quantized, the float outputs computed) and a repeated one.
Row time_evaluation(Evaluator& evaluator, const std::string& name, const Assignment& assignment) {
  const ChunkRange all{0, evaluator.chunks(Role::selection)};
  Row row{.name = name};
  row.first_s = seconds_of([&] { evaluator.measure(assignment, Role::selection, all); });
  double best = row.first_s;
  for (int i = 0; i < 3; ++i)
    best = std::min(best, seconds_of([&] { evaluator.measure(assignment, Role::selection, all); }));
  row.seconds = best;
  row.samples_per_s = static_cast<double>(evaluator.samples(Role::selection)) / best;
  return row;
}

}  // namespace

int bench_command(const BenchOptions& options) {
  if (options.signature) return signature(options);
  const auto file = options.experiment.empty() ? shipped("quickstart.yaml") : options.experiment;
  std::optional<Study> study;
  const double import_s = seconds_of([&] { study.emplace(make_study(Experiment::from(load_document(file, {})))); });
  std::shared_ptr<Evaluator> evaluator;
  const double calibrate_s = seconds_of([&] {
    evaluator = study->make_evaluator();
  });
  std::vector<Row> rows{time_evaluation(*evaluator, "float", study->space.all_float())};
  for (const auto& point : uniform_points(study->space, *study->choices)) {
    const auto assignment = study->space.assignment(point);
    rows.push_back(time_evaluation(*evaluator, "uniform " + (*study->choices)[assignment[0]].label, assignment));
  }
  const int threads = study->experiment.run.threads > 0 ? study->experiment.run.threads : default_threads();
  if (options.json) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& row : rows)
      list.push_back({{"name", row.name}, {"first_s", row.first_s}, {"seconds", row.seconds}, {"samples_per_s", row.samples_per_s}});
    std::cout << nlohmann::ordered_json{{"experiment", file.string()}, {"threads", threads}, {"import_s", import_s},
                                        {"calibration_s", calibrate_s}, {"evaluations", list}}.dump(1) << '\n';
    return 0;
  }
  std::cout << file.string() << ", " << threads << (threads == 1 ? " thread" : " threads") << ": import "
            << format_seconds(import_s) << ", calibration " << format_seconds(calibrate_s) << "\n\n";
  Table table({"evaluation on selection data", "first", "again", "samples/s"});
  for (const auto& row : rows)
    table.row({row.name, format_seconds(row.first_s), format_seconds(row.seconds), fixed(row.samples_per_s, 0)});
  std::cout << table.text();
  return 0;
}

}  // namespace bitplan
