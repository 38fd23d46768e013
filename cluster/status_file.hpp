#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace bitplan {

enum class RunState { running, done, interrupted, failed, infeasible };
std::string_view name_of(RunState state);

/// What `status.json` says about a run: the outcome for scripts and for `bitplan status`, since an exit status may get
/// lost in mpirun. Replaced atomically, about once a second while the run goes on.
struct RunStatus {
  struct Best {
    std::int64_t trial = 0;
    std::string stage;
    double loss = 0;
    std::map<std::string, std::int64_t> costs;  ///< by metric name
  };
  RunState state = RunState::running;
  std::string reason;         ///< why it is interrupted, failed or infeasible
  std::string name, version;  ///< of the experiment, of the program
  std::string stage;          ///< what it does now
  std::int64_t trials = 0, trials_planned = 0, trials_invalid = 0, trials_failed = 0;
  std::int64_t units_done = 0, units_reused = 0, units_retried = 0;
  std::optional<Best> best;
  int ranks = 1, ranks_lost = 0, pid = 0;
  double seconds = 0;            ///< this process has run
  std::string started, updated;  ///< UTC, "2026-11-22T03:00:01Z"
};

/// The time now as in RunStatus::started.
std::string utc_now();

/// Replaces `directory`/status.json. Throws std::runtime_error when the disk refuses.
void write_status(const std::filesystem::path& directory, const RunStatus& status);
/// Throws InputError when the file is missing or damaged.
RunStatus read_status(const std::filesystem::path& directory);
/// The text that write_status writes, for `bitplan status --json`.
std::string to_json(const RunStatus& status);

}  // namespace bitplan
