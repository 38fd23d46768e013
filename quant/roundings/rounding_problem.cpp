#include "quant/roundings/rounding_problem.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <string>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "quant/math/finite.hpp"
#include "quant/roundings/layer_loss.hpp"

namespace bitplan {
namespace {

void check_matrix(std::span<const float> values, std::int64_t columns, const char* what) {
  if (all_finite(values)) return;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) {
      const auto width = static_cast<std::size_t>(columns);
      throw InputError(std::string(what) + " [" + std::to_string(i / width) + ", " + std::to_string(i % width) +
                       "] is " + std::to_string(values[i]) + "; it must be finite");
    }
}

}  // namespace

std::int32_t RoundingGrid::nearest(std::size_t part, float x) const {
  const float whole = std::nearbyint(zero_points[part]);
  const float level = std::nearbyint(x / scales[part] + (zero_points[part] - whole)) + whole;
  if (!(level > static_cast<float>(q_min))) return q_min;  // NaN, of overflow, too
  return level < static_cast<float>(q_max) ? static_cast<std::int32_t>(level) : q_max;
}

std::vector<std::int32_t> neighbour_groups(std::int64_t columns, std::int64_t group) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(columns));
  if (group > 0)
    for (std::int64_t c = 0; c < columns; ++c) out[static_cast<std::size_t>(c)] = static_cast<std::int32_t>(c / group);
  return out;
}

void check(const RoundingProblem& problem) {
  [[maybe_unused]] const auto size = static_cast<std::size_t>(problem.rows * problem.columns);
  [[maybe_unused]] const auto square = static_cast<std::size_t>(problem.columns * problem.columns);
  [[maybe_unused]] const auto parts = static_cast<std::size_t>(problem.rows * problem.grid.groups);
  assert(problem.weights.size() == size && problem.grid.q_min < problem.grid.q_max);
  assert(problem.gram.empty() || problem.gram.size() == square);
  assert(problem.cross.empty() || (problem.cross.size() == square && !problem.gram.empty()));
  assert(problem.grid.scales.size() == parts && problem.grid.zero_points.size() == parts);
  assert(problem.grid.group_of.size() == static_cast<std::size_t>(problem.columns));
  check_matrix(problem.weights, problem.columns, "weight");
  check_matrix(problem.gram, problem.columns, "second moment of the inputs");
  check_matrix(problem.cross, problem.columns, "cross moment of the inputs");
  check_matrix(problem.grid.scales, problem.grid.groups, "scale");
  check_matrix(problem.grid.zero_points, problem.grid.groups, "zero point");
  if (std::find(problem.grid.scales.begin(), problem.grid.scales.end(), 0.0F) != problem.grid.scales.end())
    throw InputError("a scale is 0; a part of zeros needs a scale of its own, 1 for example");
  for (std::int64_t c = 0; c < problem.columns && !problem.gram.empty(); ++c)
    if (problem.gram[static_cast<std::size_t>(c * (problem.columns + 1))] < 0)
      throw InputError("the mean square of input channel " + std::to_string(c) + " is negative");
}

void check_stop(const RoundingProblem& problem) {
  if (problem.stop != nullptr && *problem.stop) throw Interrupted("the rounding of a weight was stopped");
}

RoundedWeight rounded(const RoundingProblem& problem, const RoundingGrid& grid, std::vector<std::int16_t> codes) {
  RoundedWeight out{std::move(codes), grid, std::vector<float>(problem.weights.size()), 0, 0};
  parallel_for(static_cast<std::size_t>(problem.rows), problem.threads, [&](std::size_t r, int) {
    std::size_t i = r * static_cast<std::size_t>(problem.columns);
    for (std::int64_t c = 0; c < problem.columns; ++c, ++i)
      out.values[i] = grid.value(grid.part(static_cast<std::int64_t>(r), c), out.codes[i]);
  });
  return out;
}

RoundedWeight round_nearest(const RoundingProblem& problem) {
  std::vector<std::int16_t> codes(problem.weights.size());
  parallel_for(static_cast<std::size_t>(problem.rows), problem.threads, [&](std::size_t r, int) {
    std::size_t i = r * static_cast<std::size_t>(problem.columns);
    for (std::int64_t c = 0; c < problem.columns; ++c, ++i)
      codes[i] = static_cast<std::int16_t>(
          problem.grid.nearest(problem.grid.part(static_cast<std::int64_t>(r), c), problem.weights[i]));
  });
  return rounded(problem, problem.grid, std::move(codes));
}

RoundedWeight accepted(const RoundingProblem& problem, const LayerLoss& loss, RoundedWeight candidate) {
  return better_rows(problem, loss, round_nearest(problem), std::move(candidate));
}

RoundedWeight accepted(const RoundingProblem& problem, RoundedWeight candidate) {
  if (problem.gram.empty()) return candidate;
  return accepted(problem, LayerLoss(problem), std::move(candidate));
}

RoundedWeight better_rows(const RoundingProblem& problem, const LayerLoss& loss, const RoundedWeight& before,
                          RoundedWeight candidate) {
  assert(candidate.grid.group_of == problem.grid.group_of);
  const std::vector<double> least = loss.of_rows(before.values), after = loss.of_rows(candidate.values);
  candidate.loss = candidate.nearest_loss = 0;
  for (std::int64_t r = 0; r < problem.rows; ++r) {
    const auto row = static_cast<std::size_t>(r);
    candidate.nearest_loss += least[row];
    candidate.loss += after[row] <= least[row] ? after[row] : least[row];
    if (after[row] <= least[row]) continue;
    const std::int64_t at = r * problem.columns, part = r * problem.grid.groups;
    std::copy_n(before.codes.begin() + at, problem.columns, candidate.codes.begin() + at);
    std::copy_n(before.values.begin() + at, problem.columns, candidate.values.begin() + at);
    std::copy_n(before.grid.scales.begin() + part, problem.grid.groups, candidate.grid.scales.begin() + part);
    std::copy_n(before.grid.zero_points.begin() + part, problem.grid.groups, candidate.grid.zero_points.begin() + part);
  }
  return candidate;
}

}  // namespace bitplan
