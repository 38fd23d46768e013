#pragma once
// Small rounding problems for the tests of the roundings.

#include <cmath>
#include <vector>

#include "core/rng.hpp"
#include "quant/moments/gram.hpp"
#include "quant/roundings/rounding_problem.hpp"

namespace bitplan::test {

/// A problem with its data. Inputs of neighbouring channels are correlated, so that rounding can make up for errors.
struct SmallProblem {
  std::vector<float> weights, inputs, gram, cross;
  RoundingProblem problem;

  SmallProblem(std::int64_t rows, std::int64_t columns, int bits, std::int64_t group = 0, bool affine = false,
               std::uint64_t seed = 1, std::int64_t samples = 64) {
    Rng rng(seed, "small problem");
    for (std::int64_t i = 0; i < rows * columns; ++i) weights.push_back(static_cast<float>(rng.normal()));
    for (std::int64_t t = 0; t < samples; ++t) {
      const double common = rng.normal();
      for (std::int64_t c = 0; c < columns; ++c) inputs.push_back(static_cast<float>(common + 0.6 * rng.normal()));
    }
    if (columns > 0) {
      GramAccumulator moments(columns, false, 1);
      moments.add(inputs);
      gram = moments.gram();
    }
    problem = {rows, columns, weights, absmax_grid(rows, columns, bits, group, affine), gram, {}, 1};
  }
  SmallProblem(const SmallProblem&) = delete;

  RoundingGrid absmax_grid(std::int64_t rows, std::int64_t columns, int bits, std::int64_t group, bool affine) const {
    if (group == 0) group = std::max<std::int64_t>(1, columns);
    const std::int32_t half = 1 << (bits - 1);
    RoundingGrid grid{affine ? 0 : -half,
                      affine ? 2 * half - 1 : half - 1,
                      (columns + group - 1) / group,
                      neighbour_groups(columns, group),
                      {},
                      {}};
    grid.scales.assign(static_cast<std::size_t>(rows * grid.groups), 0);
    grid.zero_points.assign(grid.scales.size(), affine ? static_cast<float>(half) : 0.0F);
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < columns; ++c) {
        float& scale = grid.scales[grid.part(r, c)];
        const float size = std::abs(weights[static_cast<std::size_t>(r * columns + c)]);
        scale = std::max(scale, size / (static_cast<float>(half) - 0.5F));
      }
    return grid;
  }
};

}  // namespace bitplan::test
