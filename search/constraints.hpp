#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/yaml.hpp"
#include "hwmodels/cost_model.hpp"
#include "search/space.hpp"

namespace bitplan {

/// cost(metric) <= limit, in base units.
struct Constraint {
  std::size_t metric = 0;
  std::int64_t limit = 0;
  std::string text;  ///< as the user wrote it: "weight_bytes <= 50%"
  std::string place;
};

/// `constraints:` of the experiment. Percent are of the cost of the 8-bit uniform plan (`uniform8`, all weights and
/// activations int8). Unknown metrics, hardware, units are errors with their place.
std::vector<Constraint> read_constraints(const Yaml& list, const CostModel& costs, const Assignment& uniform8);

/// True when every constraint holds for these costs (by metric index).
bool holds(std::span<const Constraint> constraints, std::span<const std::int64_t> costs);
/// Sum over constraints of max(0, cost / limit - 1): 0 when all hold.
double violation(std::span<const Constraint> constraints, std::span<const std::int64_t> costs);

/// What a cost can be in the space.
struct Reach {
  std::int64_t low = 0, high = 0;              ///< costs of points that were found
  bool low_exact = false, high_exact = false;  ///< proven: no point is lower / higher
};

/// The reachable interval of a metric over the whole space. Additive metrics: exact when the bound (each layer's best
/// pair) is met; otherwise the best point of a coordinate descent. O(variables × options × layers).
Reach reachable(const Space& space, const CostModel& costs, std::size_t metric);

/// A point that holds all constraints, as cheap as possible; throws InfeasibleError that names, for each constraint
/// that cannot hold, the nearest reachable value (and, when each can hold alone but not all together, says so).
Point feasible_point(const Space& space, const CostModel& costs, std::span<const Constraint> constraints);

}  // namespace bitplan
