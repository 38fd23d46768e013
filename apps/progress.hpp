#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "cluster/coordinator.hpp"
#include "cluster/status_file.hpp"
#include "search/archive.hpp"

namespace bitplan {

/// What a person and status.json see while a search runs: one refreshed line on a terminal, a plain line every 10 s elsewhere,
/// status.json once a second.
class Progress {
 public:
  /// `planned` trials in all; 0 for a stage that does not know.
  Progress(std::filesystem::path directory, RunStatus status, std::int64_t planned, bool quiet);

  void stage(const std::string& name, std::int64_t number, std::int64_t of);
  void batch(const Archive& archive, const CostModel& costs, const std::string& objective);
  void units(const ClusterProgress& progress);
  /// Ends the line; writes the state for good. `state` with its reason.
  void finish(RunState state, const std::string& reason);
  RunStatus& status() { return status_; }

 private:
  void draw(bool now);
  std::string line() const;
  double seconds() const;

  std::filesystem::path directory_;
  RunStatus status_;
  std::int64_t planned_;
  bool quiet_, terminal_;
  std::string stage_text_, best_text_;
  std::int64_t units_at_batch_ = 0;
  double units_per_trial_ = 0;
  double drawn_ = 0, saved_ = 0;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace bitplan
