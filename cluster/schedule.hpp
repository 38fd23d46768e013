#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/work_unit.hpp"

namespace bitplan {

/// When the schedule loses patience; seconds.
struct ScheduleRules {
  int prefetch = 2;  ///< units a rank has at once: one runs, the others wait behind it
  int retries = 2;
  double timeout = 300;      ///< of one unit, from when it runs
  double cancel_grace = 10;  ///< a rank whose unit does not stop within this is given up
  int deadly = 2;            ///< a candidate on which so many ranks died is failed
};

/// Who measures what, as a pure state machine: no clock, no mail, no disk; the coordinator tells it what happens and
/// does what it says.
///
/// Candidates are cut into shards; a unit is a run of neighbouring shards, as many as keep the threads of a rank busy
/// when there is enough for all ranks. Units go to ranks in the order of the candidates. A unit that fails or takes
/// too long is handed out again, to another rank where there is one; after `retries` its candidate is failed. A rank
/// given up gets nothing more, but what it still sends is taken.
class Schedule {
 public:
  Schedule(int ranks, const ScheduleRules& rules);

  /// A rank can work now.
  void join(int rank, int threads);
  /// A candidate to measure; `missing` are the shards still to be measured, in order, each of `shard` chunks (the
  /// last may be shorter). Its units may take as long as they like where it is not `timed`.
  void add(std::uint64_t candidate, const Assignment& assignment, Role role, int shard,
           const std::vector<ChunkRange>& missing, bool timed = true);
  /// The candidate needs nothing more; what runs for it is to be cancelled.
  void close(std::uint64_t candidate);
  /// Notes that a shard is measured. False when it was already, or the candidate is closed.
  bool mark_done(std::uint64_t candidate, ChunkRange shard);
  bool finished(std::uint64_t candidate) const;  ///< no shard is missing

  struct Handout {
    int rank = 0;
    WorkUnit unit;
  };
  /// What to send out now: up to `prefetch` units a rank.
  std::vector<Handout> dispatch(double now);
  void set_prefetch(int prefetch) { rules_.prefetch = prefetch; }

  /// A unit that came back, whatever the result.
  struct Landing {
    std::uint64_t candidate = 0;
    WorkUnit unit;
    int rank = 0, shard = 1, attempts = 1;
    std::set<int> avoid;  ///< ranks on which it went wrong before
    bool wanted = true;   ///< false: it was handed out again meanwhile, or its candidate is closed
  };
  /// Nothing when the id is unknown.
  std::optional<Landing> land(std::uint64_t unit, double now);
  /// Back into the queue for another rank, or the candidate fails. Nothing when the unit is not wanted any more.
  void retry(const Landing& landing, const std::string& reason);

  /// Units that run for too long are cancelled and retried; ranks that do not stop are given up.
  void check_deadlines(double now);
  /// The rank is dead or stuck. `died` counts against the candidate that it was measuring.
  void give_up(int rank, const std::string& reason, bool died);
  bool usable(int rank) const { return !ranks_[static_cast<std::size_t>(rank)].given_up; }
  bool any_usable() const;

  /// What happened since the last call.
  struct Cancel {
    int rank;
    std::uint64_t unit;
  };
  struct Failure {
    std::uint64_t candidate;
    std::string reason;
  };
  struct Lost {
    int rank;
    std::string reason;
  };
  struct Events {
    std::vector<Cancel> cancels;
    std::vector<Failure> failures;
    std::vector<Lost> lost;
  };
  Events take_events();
  /// Cancels all that runs.
  void cancel_all();

  int in_flight(int rank) const { return static_cast<int>(ranks_[static_cast<std::size_t>(rank)].units.size()); }
  int in_flight() const;
  std::int64_t retried() const { return retried_; }

 private:
  struct Candidate {
    Assignment assignment;
    Role role = Role::selection;
    int shard = 1;
    bool timed = true;
    std::set<int> missing;  ///< first chunks of shards not yet measured
    std::set<int> died;     ///< ranks
  };
  struct Piece {
    std::uint64_t candidate = 0;
    ChunkRange chunks;
    int attempts = 1;
    std::set<int> avoid;  ///< ranks on which it went wrong
  };
  struct Flight {
    Piece piece;
    WorkUnit unit;
    int rank = 0, shard = 1;
    double started = 0;      ///< when it came to the head of its rank
    double cancelled = -1;   ///< when it was told to stop
    bool abandoned = false;  ///< handed out again, or of no use any more
  };
  struct Rank {
    bool joined = false, given_up = false;
    int threads = 1;
    std::deque<std::uint64_t> units;  ///< in the order in which it measures them
  };

  bool is_timed(std::uint64_t candidate) const;
  bool may_take(const Piece& piece, int rank) const;
  std::optional<Piece> next_piece(int rank);
  int shards_for(int rank, int shard) const;
  void push(Piece piece, bool front);
  void cancel(Flight& flight, double now);
  void fail(std::uint64_t candidate, const std::string& reason);

  ScheduleRules rules_;
  std::vector<Rank> ranks_;
  std::map<std::uint64_t, Candidate> candidates_;
  std::deque<Piece> queue_;
  std::int64_t queued_chunks_ = 0;
  std::map<std::uint64_t, Flight> flights_;
  std::uint64_t next_id_ = 1;
  std::int64_t retried_ = 0;
  double now_ = 0;
  Events events_;
};

}  // namespace bitplan
