#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "search/point_costs.hpp"
#include "search/sensitivity.hpp"

namespace bitplan {

/// Allocation under an additive loss: minimise sum over variables of table[v][x_v] such that all constraints hold, by
/// steps that look at all constraints at once (a multi-choice knapsack with several rows, solved heuristically).
/// Constraints need not be additive. Entries of the table are finite and may be negative.
///
/// Every function is deterministic; ties go to the smaller variable, then the smaller option.
struct Allocator {
  const Problem& problem;
  const OptionTable& table;

  /// The whole method, the better of two directions:
  ///   down: the option with the least loss everywhere, then lower() until all constraints hold
  ///   up:   the cheapest point found (feasible_point)
  /// each followed by fill() and exchange(). Throws InfeasibleError when no point holds the constraints.
  Point solve() const;

  /// While a constraint is violated: the move with the least loss increase per reduced violation (sum over constraints
  /// of max(0, cost / limit - 1)); moves that reduce it and cost no loss come first. Variables in `locked` stay. False
  /// when no move reduces the violation any more.
  bool lower(PointCosts& at, const std::vector<bool>& locked) const;
  /// While one holds all constraints and saves loss: the move that saves most per cost spent, the cost being the sum
  /// over constraints of spent / left; moves that spend nothing come first.
  void fill(PointCosts& at, const std::vector<bool>& locked) const;
  /// While one does: the pair of moves of two variables that lowers the loss most and still holds, then fill().
  void exchange(PointCosts& at) const;
  /// `start` with one move made and kept: lower(), then fill(), of the others. Nothing when it cannot hold then.
  std::optional<Point> around(const PointCosts& start, Move move) const;

  double loss(const Point& point) const;
};

/// The sensitivities on the scale of power p: s^p.
OptionTable powered(const OptionTable& sensitivities, double power);

/// Plans from single sensitivities s alone, up to 8 different ones: Allocator::solve() on several readings of them.
///   s^p, p = 1, 0.7, 0.5, 0.35, 0.2   from errors of layers that are independent to errors that all point the same way:
///                                     the lower p, the more a plan avoids many small losses, the less a few large ones
///   s^p, p = 1, 0.7, 0.5              plus a tenth of the largest entry for each variable's lowest option: shuns the
///                                     lowest bits
std::vector<Point> additive_plans(const Problem& problem);

}  // namespace bitplan
