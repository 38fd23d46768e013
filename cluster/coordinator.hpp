#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cluster/mailbox.hpp"
#include "cluster/options.hpp"
#include "cluster/run_store.hpp"
#include "cluster/schedule.hpp"
#include "cluster/worker.hpp"
#include "search/run_search.hpp"

namespace bitplan {

/// How far measuring has come, for progress lines and status.json.
struct ClusterProgress {
  double seconds = 0;             ///< since the coordinator was made
  std::int64_t units_done = 0;    ///< shards measured by this process
  std::int64_t units_reused = 0;  ///< shards found in the store
  std::int64_t units_total = 0;   ///< done, reused and still to do in this question
  std::int64_t units_retried = 0, candidates_failed = 0;
  int ranks = 0, ranks_joined = 0, ranks_lost = 0;
  std::vector<int> in_flight;  ///< by rank: units it has
};

/// Rank 0's view of all ranks: it splits assignments into units, hands them out, stores what comes back and answers in
/// the order of the question. It owns the evaluation thread of rank 0 too. To be made and used on the thread of
/// Mailbox::talk_while's body.
///
/// At-least-once execution, exactly-once accounting: a shard counts once it is in the store; shards that the store has
/// are not measured again. The sums of an assignment are added chunk by chunk in index order, so they do not depend on
/// ranks, threads, order of completion, or on what was resumed.
///
/// Results are stored together: when they complete a candidate, or when the first of them has waited for 0.1 s.
/// Each rank has at least one unit waiting behind the one it measures, and more when units are shorter than a commit:
///   prefetch = 1 + ceil((10 ms + 2 commits) / unit), 2 … 16
class Coordinator {
 public:
  /// `chunks` says how many chunks a data role has. Workers join with their hello, at any time.
  Coordinator(Mailbox& mail, RunStore& store, const ClusterOptions& options, MeasureUnit measure,
              std::function<int(Role)> chunks);
  ~Coordinator();

  /// Result i for assignment i; equal assignments are measured once. Throws
  ///   Interrupted        a stop signal came; what arrived is stored
  ///   InputError         a rank found the user's input wrong
  ///   std::runtime_error the store cannot write, or no rank is left
  std::vector<Measured> measure(std::span<const Assignment> assignments, Role role = Role::selection);
  /// The same on the first chunk of the calibration data alone, and without a timeout: for what measuring leaves behind
  /// (prepared weights, which may take long and end by themselves).
  std::vector<Measured> measure_briefly(std::span<const Assignment> assignments);

  /// Called on the caller's thread inside measure(), at most ten times a second and at its end.
  std::function<void(const ClusterProgress&)> on_progress;
  const ClusterProgress& progress() const { return progress_; }

 private:
  struct Task {
    Assignment assignment;
    Role role = Role::selection;
    std::vector<LossSums> sums;  ///< by chunk
    std::size_t shards = 0;      ///< to measure
    std::size_t arrived = 0;     ///< of these, stored or not yet
    std::size_t missing = 0;     ///< not yet stored
    bool failed = false;
    std::string reason;
  };

  std::vector<Measured> measure(std::span<const Assignment> assignments, Role role, int chunks, bool timed);
  std::uint64_t open_task(const Assignment& assignment, Role role, int chunks, bool timed);
  void receive(double seconds);
  void handle(const Message& message);
  void handle_result(int rank, UnitResult result);
  void take_sums(const Schedule::Landing& landing, const UnitResult& result);
  bool commit_is_due() const;
  void commit();
  void watch();
  void hand_out();
  void apply_events();
  void interrupt(const std::string& signal);
  void tune_prefetch();
  void report(bool now);

  Mailbox& mail_;
  RunStore& store_;
  ClusterOptions options_;
  std::function<int(Role)> chunks_;
  Schedule schedule_;
  std::map<std::uint64_t, Task> tasks_;  ///< of the question that is being answered
  std::uint64_t next_task_ = 1;
  std::size_t open_tasks_ = 0;
  std::vector<RunStore::Unit> arrived_;     ///< measured, not yet stored
  std::vector<std::uint64_t> arrived_for_;  ///< their tasks
  double arrived_since_ = 0;                ///< the first of them
  bool answer_waits_ = false;               ///< they complete a candidate
  std::string input_error_;
  double unit_seconds_ = 0, commit_seconds_ = 0;  ///< moving averages
  ClusterProgress progress_;
  double started_ = 0, reported_ = -1;
  std::unique_ptr<Worker> worker_;
};

}  // namespace bitplan
