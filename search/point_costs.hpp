#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/searcher.hpp"

namespace bitplan {

/// One variable takes another option.
struct Move {
  std::size_t variable = 0;
  std::uint8_t option = 0;
};

/// The constrained costs of a point that changes a little at a time. Equal to CostModel::costs() of the whole
/// assignment, but an additive metric is only recomputed for the layers that a move touches: O(constraints) a layer.
/// Metrics that are not additive (peak_activation_bytes) are computed whole, O(cuts). kUnknownCost as there, however
/// many layers are unknown.
class PointCosts {
 public:
  PointCosts(const Problem& problem, const Point& point);

  const Point& point() const { return point_; }
  /// By constraint (not by metric).
  const std::vector<std::int64_t>& costs() const { return costs_; }
  /// The costs after one or two moves of different variables; the point stays. Valid until the next call.
  const std::vector<std::int64_t>& after(std::span<const Move> moves);
  const std::vector<std::int64_t>& after(Move move) { return after({&move, 1}); }
  void set(Move move);

  bool holds() const { return holds(costs_); }
  bool holds(std::span<const std::int64_t> costs) const;
  /// Sum over constraints of max(0, cost / limit - 1).
  double violation() const { return violation(costs_); }
  double violation(std::span<const std::int64_t> costs) const;

 private:
  std::int64_t layer_cost(std::size_t constraint, LayerId layer) const;
  void place(Move move);
  static void count(std::int64_t cost, int sign, std::int64_t& known, int& unknown);

  const Problem& problem_;
  Point point_;
  Assignment assignment_;
  std::vector<bool> additive_;                       ///< by constraint
  std::vector<std::vector<LayerId>> layers_;         ///< by variable: those whose cost depends on it
  std::vector<std::vector<std::int64_t>> of_layer_;  ///< [constraint][layer], additive ones
  std::vector<std::int64_t> known_;  ///< by constraint, additive ones: sum over layers with a known cost
  std::vector<int> unknown_;         ///< by constraint: layers with kUnknownCost
  std::vector<std::int64_t> costs_, after_;
  std::vector<LayerId> touched_;
};

}  // namespace bitplan
