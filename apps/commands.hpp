#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bitplan {

// One function a subcommand; each returns the exit status and throws as core/error.hpp says. Results go to stdout,
// messages to stderr; with `json` stdout has one JSON object and nothing else.

struct SearchOptions {
  std::filesystem::path experiment;
  std::optional<std::filesystem::path> out;
  bool resume = false, json = false;
  bool quiet = false;                 ///< no progress, no greeting
  std::vector<std::string> set;
  std::vector<std::string> command;   ///< argv, for the plan's provenance
};
int search_command(const SearchOptions& options);

struct InspectOptions {
  std::filesystem::path model;
  std::vector<std::string> shapes;    ///< NAME=1x3x32x32
  bool attention = false;             ///< operands of products are sites too
  bool json = false;
};
int inspect_command(const InspectOptions& options);

struct RunOptions {
  std::filesystem::path model;
  std::vector<std::string> inputs;    ///< NAME=FILE.npy
  std::filesystem::path out;
  int threads = 0;
};
int run_command(const RunOptions& options);

struct EvaluateOptions {
  std::filesystem::path experiment;
  std::optional<std::filesystem::path> plan;
  std::string uniform;                ///< "w4a8"
  bool as_float = false, each = false, json = false;
  std::vector<std::string> finish;    ///< "sequential", "asymmetric", "bias", "bias:element"
  std::string on = "selection";
  std::vector<std::string> set;
};
int evaluate_command(const EvaluateOptions& options);
/// With --each: every uniform plan of the space, one row each.
int evaluate_each_command(const EvaluateOptions& options);

struct SensitivityOptions {
  std::filesystem::path experiment;
  std::optional<std::filesystem::path> out;
  bool json = false;
  std::vector<std::string> set;
};
int sensitivity_command(const SensitivityOptions& options);

struct CostOptions {
  std::filesystem::path experiment;
  std::string hardware;               ///< one of the experiment's, empty: all
  std::optional<std::filesystem::path> plan;
  std::string uniform;
  bool json = false;
  std::vector<std::string> set;
};
int cost_command(const CostOptions& options);

struct QuantizeOptions {
  std::filesystem::path tensor, out;
  std::string choice;
  int axis = 0;                       ///< of the channels
  std::optional<std::filesystem::path> act;   ///< inputs that the weight is multiplied with
  bool json = false;
};
int quantize_command(const QuantizeOptions& options);

struct ObserveOptions {
  std::vector<std::filesystem::path> files;   ///< one batch each
  std::string observer = "mse";
  int bits = 8;
  bool symmetric = false, narrow = false, per_token = false, json = false;
  std::optional<double> percentile, momentum;
  std::optional<int> axis;            ///< of the channels
};
int observe_command(const ObserveOptions& options);

struct StatusOptions {
  std::filesystem::path run;
  std::string field;
  bool json = false;
};
int status_command(const StatusOptions& options);

struct ListOptions {
  std::string family;
  bool json = false;
};
int list_command(const ListOptions& options);

struct BenchOptions {
  std::filesystem::path experiment;   ///< empty: the shipped example
  bool signature = false, json = false;
};
int bench_command(const BenchOptions& options);

}  // namespace bitplan
