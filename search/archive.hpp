#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "eval/losses/losses.hpp"
#include "quant/choice.hpp"

namespace bitplan {

/// What was found out about one assignment on selection data.
struct Measurement {
  enum class Status : std::uint8_t { ok, invalid, failed };
  Status status = Status::ok;  ///< invalid: NaN or infinite outputs; failed: could not be measured (reason)
  std::string reason;
  LossSums sums;
  double loss = 0;                  ///< objective_loss; +infinity unless ok
  std::vector<std::int64_t> costs;  ///< by metric index
  bool feasible = false;            ///< all constraints hold and the assignment is in the space
};

/// One row of the trace: the assignment and who asked for it.
struct Trial {
  std::int64_t id = 0;  ///< 0, 1, … in the order of the question
  std::string stage;    ///< "uniform", "sensitivity", …
  Assignment assignment;
  Measurement measurement;
};

/// All that was measured on selection data, in the order in which searchers asked; each assignment once.
class Archive {
 public:
  /// The trial of this assignment, or null.
  const Trial* find(const Assignment& assignment) const;
  const Trial& add(const std::string& stage, const Assignment& assignment, Measurement measurement);
  const std::vector<Trial>& trials() const { return trials_; }

  /// The best eligible trial, or null. The order is total and does not depend on when a trial was measured: lowest loss
  /// on its grid, then lower costs in the order of the metrics, then lexicographic order of the assignment.
  const Trial* best() const;
  /// Is a better than b in that order?
  static bool better(const Trial& a, const Trial& b);
  /// Feasible, measured without failure, finite loss: only such a trial may become a plan.
  static bool eligible(const Trial& trial);
  /// Eligible trials that no other one equals or beats in loss and every cost of `metrics`, by rising cost of
  /// metrics[0] (then of the next metric). Of trials equal in all of these the better() one stands. O(n * front).
  std::vector<const Trial*> front(const std::vector<std::size_t>& metrics) const;

 private:
  std::vector<Trial> trials_;
  std::map<Assignment, std::size_t> index_;
};

/// Hash of the sequence of stages, assignments, costs and statuses (and losses on their grid when `with_losses`): equal
/// for two runs exactly when they searched the same way.
std::uint64_t trace_hash(const Archive& archive, bool with_losses);

}  // namespace bitplan
