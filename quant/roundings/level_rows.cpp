#include "quant/roundings/level_rows.hpp"

#include <algorithm>
#include <cassert>
#include <map>

#include "quant/formats/weight_format.hpp"
#include "quant/ranges/value_range.hpp"

namespace bitplan {
namespace {

std::vector<float> gathered(std::span<const float> tensor, const WeightView& view) {
  std::vector<float> rows;
  if (tensor.empty()) return rows;
  rows.reserve(tensor.size());
  for (std::int64_t row = 0; row < view.channels; ++row)
    for (std::int64_t column = 0; column < view.per_channel(); ++column)
      rows.push_back(tensor[element_at(view, row, column)]);
  return rows;
}

/// The grids of the whole tensor, of each row otherwise.
void fit(std::span<const float> weights, const WeightView& view, const Choice& choice,
         std::span<const float> importance, LevelRows& out) {
  const WeightFormat& format = weight_format(choice);
  const float most = absmax_of(weights);
  if (choice.granularity.kind == Granularity::Kind::tensor) {
    std::vector<float> repeated;
    for (std::int64_t i = 0; i < view.size() && !importance.empty(); ++i)
      repeated.push_back(
          importance[static_cast<std::size_t>(i / (view.inner * view.channels) * view.inner + i % view.inner)]);
    format.fit({weights, repeated, most}, view.size(), choice, out.grids);
    out.grid_of.assign(static_cast<std::size_t>(out.columns), 0);
    return;
  }
  const bool whole = choice.granularity.kind == Granularity::Kind::channel;
  const std::int64_t part = whole ? out.columns : std::min<std::int64_t>(out.columns, choice.granularity.group);
  for (std::int64_t row = 0; row < out.rows; ++row)
    format.fit({std::span(out.weights)
                    .subspan(static_cast<std::size_t>(row * out.columns), static_cast<std::size_t>(out.columns)),
                importance, most},
               part, choice, out.grids);
  const std::int64_t run = format.run(part), runs = (part + run - 1) / run;
  for (std::int64_t c = 0; c < out.columns; ++c)
    out.grid_of.push_back(static_cast<std::int32_t>(c / part * runs + c % part / run));
  out.grids_per_row = static_cast<std::int64_t>(out.grids.size()) / std::max<std::int64_t>(1, out.rows);
}

/// Bounds halfway between values; grids that share levels go on sharing them. Scales as they are after the gain.
void make_nearest(LevelRows& rows) {
  std::map<std::shared_ptr<const Levels>, std::shared_ptr<const Levels>> made;
  assert(rows.grids.size() == rows.nearest.scales.size());
  for (std::size_t i = 0; i < rows.grids.size(); ++i) {
    Grid& grid = rows.grids[i];
    auto& nearest = made[grid.levels];
    if (!nearest)
      nearest =
          std::make_shared<const Levels>(Levels::nearest({grid.levels->values().begin(), grid.levels->values().end()},
                                                         {grid.levels->codes().begin(), grid.levels->codes().end()}));
    grid.levels = nearest;
    grid.scale = rows.nearest.scales[i];
  }
}

}  // namespace

LevelRows plain_rows(std::span<const float> weights, const WeightView& view) {
  LevelRows out;
  out.rows = view.channels;
  out.columns = view.per_channel();
  out.weights = gathered(weights, view);
  return out;
}

LevelRows level_rows(std::span<const float> weights, const WeightView& view, const Choice& choice,
                     std::span<const float> importance) {
  assert(!choice.is_float && !choice.is_integer());
  LevelRows out = plain_rows(weights, view);
  out.nearest = quantize_weight(weights, view, choice, importance);
  if (weights.empty()) return out;
  out.nearest_values = gathered(out.nearest.values, view);
  if (choice.range != RangeMethod::wmse) importance = {};
  fit(weights, view, choice, importance, out);
  make_nearest(out);
  return out;
}

void put_row(const WeightView& view, std::int64_t row, std::span<const float> values,
             std::span<const std::int16_t> codes, QuantizedWeight& out) {
  for (std::size_t c = 0; c < values.size(); ++c) {
    const std::size_t at = element_at(view, row, static_cast<std::int64_t>(c));
    out.values[at] = values[c];
    out.codes[at] = codes[c];
  }
}

void set_mse(std::span<const float> weights, QuantizedWeight& out) {
  double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double error = static_cast<double>(out.values[i]) - weights[i];
    sum += error * error;
  }
  out.mse = weights.empty() ? 0 : sum / static_cast<double>(weights.size());
}

ShrunkMoments shrunk_moments(const RoundingProblem& problem, double share) {
  ShrunkMoments out{{problem.gram.begin(), problem.gram.end()}, {problem.cross.begin(), problem.cross.end()}};
  const auto k = static_cast<std::size_t>(problem.columns);
  double energy = 0;
  for (std::size_t at = 0; at < out.gram.size(); at += k + 1) energy += static_cast<double>(out.gram[at]);
  const auto added = static_cast<float>(share * energy / static_cast<double>(problem.columns));
  for (auto* matrix : {&out.gram, &out.cross})
    for (std::size_t at = 0; at < matrix->size(); at += k + 1) (*matrix)[at] += added;
  return out;
}

void for_each_group(const LevelRows& rows, const LayerMoments& moments, int threads, const std::atomic<bool>* stop,
                    const std::function<void(const RoundingProblem& problem, std::int64_t first)>& each) {
  assert(moments.columns == rows.columns && moments.groups > 0 && rows.rows % moments.groups == 0);
  const std::int64_t n = rows.rows / moments.groups;
  for (std::int64_t g = 0; g < moments.groups; ++g) {
    const auto group = static_cast<std::size_t>(g);
    RoundingProblem problem;
    problem.rows = n;
    problem.columns = rows.columns;
    problem.weights =
        std::span(rows.weights)
            .subspan(group * static_cast<std::size_t>(n * rows.columns), static_cast<std::size_t>(n * rows.columns));
    problem.gram = moments.gram[group];
    if (!moments.cross.empty()) problem.cross = moments.cross[group];
    problem.grid.group_of = neighbour_groups(rows.columns, 0);
    problem.grid.scales.assign(static_cast<std::size_t>(n), 1.0F);
    problem.grid.zero_points.assign(static_cast<std::size_t>(n), 0.0F);
    problem.threads = threads;
    problem.stop = stop;
    check(problem);
    each(problem, g * n);
  }
}

}  // namespace bitplan
