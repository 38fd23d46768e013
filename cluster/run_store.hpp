#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cluster/run_lock.hpp"
#include "cluster/work_unit.hpp"
#include "search/archive.hpp"

namespace bitplan {

class Sqlite;

/// Reads `run.db`, also while a search writes it. SQLite's write-ahead log needs all users on one host, so opening the
/// file of a search that runs on another host is refused (status.json can be read anywhere).
///
///   meta(key, value)                        what the run is; value as text
///   candidates(id, assignment)              "3,0,5": choice ids by site
///   units(candidate, role, first_chunk, chunks, sums, rank, seconds, attempts)   one row a shard, role 0 1 2 = Role
///   failures(candidate, role, reason)
///   trials(id, stage, candidate, status, reason, loss, costs, feasible, sums)    the trace; costs as JSON list
///   alarms(id, at, text)                    what should not happen: a duplicate that differs
class RunReader {
 public:
  /// Throws InputError when there is no run.db, when it is damaged or of another schema version.
  explicit RunReader(const std::filesystem::path& directory);
  virtual ~RunReader();

  std::optional<std::string> meta(const std::string& key) const;
  /// The trace so far, by id.
  std::vector<Trial> trials() const;
  struct Counts {
    std::int64_t trials = 0, trials_ok = 0, trials_invalid = 0, trials_failed = 0;
    std::int64_t candidates = 0, units = 0, failures = 0, alarms = 0;
    double unit_seconds = 0;  ///< sum over units
  };
  Counts counts() const;
  struct RankWork {
    int rank = 0;
    std::int64_t units = 0;
    double seconds = 0;
  };
  std::vector<RankWork> work_by_rank() const;
  std::vector<std::string> alarms() const;

 protected:
  RunReader(std::filesystem::path file, std::unique_ptr<Sqlite> db);
  std::filesystem::path file_;
  std::unique_ptr<Sqlite> db_;
};

/// The only state of a run that outlives it; rank 0 writes it, under the directory's RunLock. Units and failures are on
/// disk (a transaction, write-ahead log, synchronous=FULL) when the call returns: what was returned is never lost, not
/// even by a power cut, and what did not return is not there. Trials follow from the units, so they only survive the
/// process; the next unit takes them to the disk. Disk full and the like: std::runtime_error, and the file is as before
/// the call. A unit takes 128 bytes a chunk.
class RunStore : public RunReader {
 public:
  enum class Mode { fresh, resume };
  /// fresh: refuses a directory that holds a run (InputError: --resume or another directory). resume: goes on with the
  /// run of the same `identity` and `version`, refuses another one (InputError); without a run.db it starts one.
  RunStore(const std::filesystem::path& directory, const std::string& identity, const std::string& version, Mode mode);
  ~RunStore() override;

  /// True when an earlier process left results here.
  bool resumed() const { return resumed_; }
  void set_meta(const std::string& key, const std::string& value);

  /// One shard's sums, and who measured it in how many attempts.
  struct Unit {
    Assignment assignment{};
    Role role = Role::selection;
    ChunkRange chunks{};
    std::vector<LossSums> sums{};
    int rank = 0;
    double seconds = 0;
    int attempts = 1;
  };
  /// Stores them all or throws. One that is there already is ignored when its sums are equal to the bit and noted as an
  /// alarm when they differ (the first stays). Returns the alarms.
  std::vector<std::string> add_units(std::span<const Unit> units);
  std::vector<Unit> units(const Assignment& assignment, Role role) const;

  /// A candidate that could not be measured. It stays failed when the run is resumed, so that the trace is the same,
  /// unless forget_failures is asked.
  void add_failure(const Assignment& assignment, Role role, const std::string& reason);
  std::optional<std::string> failure(const Assignment& assignment, Role role) const;
  /// Failures whose reason holds this text are forgotten, so that the candidates are measured again; how many.
  std::int64_t forget_failures(const std::string& text);

  /// Writes trials of the trace; those that are there with the same content are left alone, so a resumed run may write
  /// all again. One that differs replaces the old and is noted as an alarm, since a resumed run must take the same
  /// way. Returns the alarms.
  std::vector<std::string> add_trials(std::span<const Trial> trials);

 private:
  RunStore(RunLock lock, const std::filesystem::path& directory);
  void begin_run(const std::string& identity, const std::string& version);
  void check_run(const std::string& identity, const std::string& version) const;
  void add_alarm(const std::string& text);
  std::int64_t candidate_id(const Assignment& assignment);

  RunLock lock_;
  bool resumed_ = false;
};

}  // namespace bitplan
