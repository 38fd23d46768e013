#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "apps/study.hpp"
#include "cluster/run_store.hpp"

namespace bitplan {

/// What makes two runs the same: the experiment without how it is carried out, and what stands in no key of it.
struct RunIdentity {
  struct Part {
    std::string key;   ///< in run.db: "fingerprint of model"
    std::string name;  ///< for people: "model file resnet.onnx"
    std::string fingerprint;
  };
  std::string hash;         ///< of all
  std::vector<Part> parts;  ///< model, data of each role, hardware models

  /// O(bytes of the hardware files); the evaluator has read the data.
  static RunIdentity of(const Study& study, const Evaluator& evaluator);
};

/// Opens `run.db`. Throws InputError as RunStore does; of a run that was begun with another experiment, model or data
/// the message names the first key of the directory's resolved.yaml that differs or, when none does, the part that has
/// another fingerprint.
RunStore open_run(const std::filesystem::path& directory, const Study& study, const RunIdentity& identity,
                  RunStore::Mode mode);

/// Writes the fingerprints of the parts for a later open_run().
void remember_parts(RunStore& store, const RunIdentity& identity);

}  // namespace bitplan
