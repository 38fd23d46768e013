#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/yaml.hpp"
#include "eval/evaluator.hpp"
#include "eval/losses/losses.hpp"
#include "eval/rewrites/rewrite.hpp"
#include "model/import_onnx.hpp"
#include "search/space.hpp"

namespace bitplan {

/// `run:` of the experiment: how it is carried out. Nothing here changes what is found, but for `chunk`.
struct RunSpec {
  int threads = 0;                        ///< per rank; 0: OMP_NUM_THREADS or all cores
  double evaluation_timeout_s = 300;      ///< of one work unit
  int retries = 2;                        ///< of a work unit that failed or timed out
  double heartbeat_s = 2;
  std::int64_t chunk = 32;                ///< samples of one forward pass; part of the result, bit for bit
  Arithmetic arithmetic = Arithmetic::automatic;
  std::size_t cache_bytes = std::size_t{2} << 30;
  std::size_t reference_bytes = std::size_t{1} << 30;  ///< outputs of the float network kept for reuse
};

/// The experiment file (DESIGN §5), read strictly: every section reads itself, unknown keys are errors.
/// Only what needs the network (rules, constraints, stages' settings) is read later, from the kept nodes.
struct Experiment {
  Yaml document;
  std::string name;
  std::filesystem::path model{};
  ImportOptions import{};
  std::vector<RewriteSpec> rewrites{};    ///< of the network, in turn, before anything else sees it
  DataSpec calibration, selection, holdout;
  SpaceSpec space;
  std::map<std::string, std::filesystem::path> hardware{};
  const Metric* objective = nullptr;
  Yaml constraints;                       ///< a list, may be empty
  std::vector<Yaml> stages{};
  std::vector<std::string> finish{};      ///< final passes to try on the plan (eval/finish.hpp)
  std::uint64_t seed = 1;
  RunSpec run{};
  std::filesystem::path output{};         ///< relative to the current directory

  /// Throws InputError with file:line:column: key.
  static Experiment from(const Yaml& document);
  /// The resolved text without `run` (but with its chunk), `output` and `finish`: runs with equal identity find the same
  /// plan, and can use each other's measurements.
  std::string identity() const;
};

/// Keys of the document that do not belong to identity(), but for chunk and arithmetic of `run`.
inline const std::vector<std::string_view> kNotIdentity{"run", "output", "finish"};
/// The rest of a document as text.
std::string identity_text(const Yaml& document);

/// The document with every `--set key=value` applied.
Yaml load_document(const std::filesystem::path& file, const std::vector<std::string>& overrides);

}  // namespace bitplan
