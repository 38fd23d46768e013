#include "quant/roundings/rounding_hqq.hpp"

#include <algorithm>
#include <cassert>

#include "quant/roundings/layer_loss.hpp"

namespace bitplan {
namespace {

/// Bounds of the parts: rows cut where the group changes.
std::vector<std::int64_t> bounds_of(const RoundingProblem& problem) {
  std::vector<std::int64_t> begins{0};
  for (std::int64_t r = 0; r < problem.rows; ++r)
    for (std::int64_t c = 1; c <= problem.columns; ++c)
      if (c == problem.columns ||
          problem.grid.group_of[static_cast<std::size_t>(c)] != problem.grid.group_of[static_cast<std::size_t>(c - 1)])
        begins.push_back(r * problem.columns + c);
  assert(static_cast<std::int64_t>(begins.size()) == problem.rows * problem.grid.groups + 1 || problem.columns == 0);
  return begins;
}

/// Codes 0 … q_max - q_min moved to q_min … q_max.
RoundedWeight on_grid_of(const RoundingProblem& problem, HqqResult found) {
  RoundingGrid grid = problem.grid;
  grid.scales = std::move(found.scales);
  grid.zero_points = std::move(found.zero_points);
  for (float& zero : grid.zero_points) zero += static_cast<float>(grid.q_min);
  for (std::int16_t& code : found.codes) code = static_cast<std::int16_t>(code + grid.q_min);
  return rounded(problem, grid, std::move(found.codes));
}

RoundedWeight plain(const RoundingProblem& problem, HqqSettings::Scale scale) {
  check(problem);
  if (problem.weights.empty()) return rounded(problem, problem.grid, {});
  HqqSettings settings;
  settings.scale = scale;
  return accepted(problem,
                  on_grid_of(problem, hqq(problem.weights, bounds_of(problem), problem.grid.q_max - problem.grid.q_min,
                                          settings, problem.threads)));
}

}  // namespace

RoundedWeight round_hqq(const RoundingProblem& problem) { return plain(problem, HqqSettings::Scale::fixed); }
RoundedWeight round_hqq_grid(const RoundingProblem& problem) { return plain(problem, HqqSettings::Scale::grid); }
RoundedWeight round_hqq_alternating(const RoundingProblem& problem) {
  return plain(problem, HqqSettings::Scale::alternating);
}

RoundedWeight round_hqq_legacy(const RoundingProblem& problem) {
  check(problem);
  if (problem.weights.empty()) return rounded(problem, problem.grid, {});
  RoundedWeight out =
      on_grid_of(problem, hqq_variant(problem.weights, bounds_of(problem), problem.grid.q_max - problem.grid.q_min,
                                      HqqVariant::legacy(), problem.threads));
  if (problem.gram.empty()) return out;
  const LayerLoss loss(problem);
  out.loss = loss.of(out.values);
  out.nearest_loss = loss.of(round_nearest(problem).values);
  return out;
}

}  // namespace bitplan
