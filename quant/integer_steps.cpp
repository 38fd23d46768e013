#include "quant/integer_steps.hpp"

#include <algorithm>
#include <cstddef>

#include "quant/ranges/weight_range.hpp"
#include "quant/roundings/output_range.hpp"
#include "quant/roundings/refit.hpp"
#include "quant/roundings/roundings.hpp"

namespace bitplan {
namespace {

bool by_tensor(const Choice& choice) { return choice.granularity.kind == Granularity::Kind::tensor; }

/// The grid of a weight for the rows of one group.
RoundingGrid grid_of(const LayerRows& layer, const Choice& choice, const QuantizedWeight& start, std::int64_t group) {
  RoundingGrid grid;
  const std::int32_t half = 1 << (choice.bits - 1);
  grid.q_min = choice.symmetric ? -half + (choice.narrow ? 1 : 0) : 0;
  grid.q_max = choice.symmetric ? half - 1 : 2 * half - 1;
  const std::int64_t run = choice.granularity.kind == Granularity::Kind::group
                               ? std::min<std::int64_t>(choice.granularity.group, layer.columns)
                               : layer.columns;
  grid.groups = (layer.columns + run - 1) / run;
  grid.group_of = neighbour_groups(layer.columns, run);
  for (std::int64_t i = 0; i < layer.rows * grid.groups; ++i) {
    const auto part = static_cast<std::size_t>(by_tensor(choice) ? 0 : group * layer.rows * grid.groups + i);
    grid.scales.push_back(start.scales[part]);
    if (!start.offsets.empty())
      grid.zero_points.push_back(start.offsets[part]);
    else
      grid.zero_points.push_back(start.zero_points.empty() ? 0.0F : static_cast<float>(start.zero_points[part]));
  }
  return grid;
}

void append_rows(QuantizedWeight& all, const RoundedWeight& part, const Choice& choice) {
  const auto add = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  add(all.codes, part.codes);
  add(all.values, part.values);
  if (by_tensor(choice)) return;
  add(all.scales, part.grid.scales);
  if (choice.has_offsets())
    add(all.offsets, part.grid.zero_points);
  else
    for (const float z : part.grid.zero_points) all.zero_points.push_back(static_cast<std::int32_t>(z));
}

/// A method that takes each group's problem with shrunk moments; none where the layer has none.
template <class Method>
QuantizedWeight each_group(const LayerRows& layer, const Choice& choice, const QuantizedWeight& start,
                           const Method& method) {
  QuantizedWeight out;
  out.column_scales = start.column_scales;
  for (std::int64_t g = 0; g < layer.groups; ++g) {
    RoundingProblem problem = layer.problem(g);
    problem.grid = grid_of(layer, choice, start, g);
    LayerRows::Shrunk moments;
    if (layer.moments) moments = layer.shrunk(g);
    problem.gram = moments.gram;
    problem.cross = moments.cross;
    append_rows(out, method(problem, g), choice);
  }
  if (by_tensor(choice)) out.scales = start.scales, out.zero_points = start.zero_points, out.offsets = start.offsets;
  return out;
}

RoundedWeight refit_group(const RoundingProblem& problem, const Choice& choice, const RoundedWeight& before) {
  if (!choice.has_offsets()) return refit_scales(problem, before);
  const bool any = choice.range != RangeMethod::fit;  // HQQ's are stored with 32 bits
  const FitCodes codes = FitCodes::of(choice.bits, false, false);
  return refit_zero_points(problem, before,
                           [=](double zero) { return any ? static_cast<float>(zero) : codes.storable(zero); });
}

}  // namespace

QuantizedWeight rounded_codes(const LayerRows& layer, const Choice& choice, const Rounding& rounding,
                              const QuantizedWeight& start) {
  return each_group(layer, choice, start, [&](RoundingProblem& problem, std::int64_t) {
    if (!rounding.needs_gram) problem.gram = problem.cross = {};
    if (choice.granularity.kind == Granularity::Kind::group && finds_parts_alone(choice.range) && !choice.gain)
      problem.find_part = [&choice](std::span<const float> part) {
        const FitGrid grid = part_grid(part, choice);
        return ScaleZero{grid.scale, grid.zero};
      };
    return round_with(rounding, problem);
  });
}

QuantizedWeight ranges_by_output(const LayerRows& layer, const Choice& choice, const QuantizedWeight& start) {
  return each_group(layer, choice, start,
                    [](const RoundingProblem& problem, std::int64_t) { return range_by_output(problem); });
}

QuantizedWeight refitted(const LayerRows& layer, const Choice& choice, const QuantizedWeight& start) {
  const auto part_of = [](const auto& all, std::size_t first, std::size_t size) {
    return std::vector(all.begin() + static_cast<std::ptrdiff_t>(first),
                       all.begin() + static_cast<std::ptrdiff_t>(first + size));
  };
  return each_group(layer, choice, start, [&](const RoundingProblem& problem, std::int64_t g) {
    const std::size_t size = problem.weights.size(), first = static_cast<std::size_t>(g) * size;
    return refit_group(problem, choice,
                       {part_of(start.codes, first, size), problem.grid, part_of(start.values, first, size), 0, 0});
  });
}

}  // namespace bitplan
