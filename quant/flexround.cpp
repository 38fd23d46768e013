#include "quant/flexround.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

#include "quant/adam.hpp"
#include "quant/descent.hpp"
#include "quant/layer_loss.hpp"
#include "quant/vector_math.hpp"

namespace bitplan {
namespace {

/// A few rows of the problem, with buffers by weight.
struct Rows {
  const RoundingProblem& problem;
  std::int64_t first, count;
  std::vector<float> position;  // u

  std::size_t size() const { return static_cast<std::size_t>(count * problem.columns); }
  std::size_t row_of(std::size_t i) const { return i / static_cast<std::size_t>(problem.columns); }
  std::size_t part_of(std::size_t i) const {  // among the parts of these rows
    return problem.grid.part(static_cast<std::int64_t>(row_of(i)), static_cast<std::int64_t>(i) % problem.columns);
  }
  float weight(std::size_t i) const { return problem.weights[static_cast<std::size_t>(first * problem.columns) + i]; }
  std::size_t first_part() const { return static_cast<std::size_t>(first * problem.grid.groups); }
  float zero(std::size_t part) const { return problem.grid.zero_points[first_part() + part]; }
};

std::vector<float> sizes_of(const Rows& rows, const FlexRoundParameters& at) {
  std::vector<float> sizes(at.size.size());
  for (std::size_t p = 0; p < sizes.size(); ++p)
    sizes[p] = rows.problem.grid.scales[rows.first_part() + p] * fast_exp(at.size[p]);
  return sizes;
}

void round(Rows& rows, const FlexRoundParameters& at, const std::vector<float>& sizes, std::span<std::int16_t> codes,
           std::span<float> values) {
  const auto q_min = static_cast<float>(rows.problem.grid.q_min), q_max = static_cast<float>(rows.problem.grid.q_max);
  rows.position.resize(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t part = rows.part_of(i);
    const float zero = rows.zero(part), whole = std::nearbyint(zero);
    const float u = rows.weight(i) / sizes[part] * fast_exp(-at.element[i] - at.row[rows.row_of(i)]);
    const float level = std::nearbyint(u + (zero - whole)) + whole;
    const float code = level > q_min ? std::min(level, q_max) : q_min;  // NaN, of overflow, too
    rows.position[i] = u;
    codes[i] = static_cast<std::int16_t>(code);
    values[i] = sizes[part] * (code - zero);
  }
}

void back(const Rows& rows, const std::vector<float>& sizes, std::span<const std::int16_t> codes,
          std::span<const float> half, FlexRoundParameters& out) {
  std::fill(out.size.begin(), out.size.end(), 0.0F);
  std::fill(out.row.begin(), out.row.end(), 0.0F);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t part = rows.part_of(i);
    const float zero = rows.zero(part), whole = std::nearbyint(zero), slope = 2 * half[i] * sizes[part];
    const float u = rows.position[i], code = codes[i];
    const bool inside = std::nearbyint(u + (zero - whole)) + whole == code;
    out.element[i] = inside ? -slope * u : 0;
    out.row[rows.row_of(i)] += out.element[i];
    out.size[part] += slope * (code - zero) + out.element[i];
  }
}

FlexRoundParameters zeros(std::size_t parts, std::size_t weights, std::size_t rows) {
  return {std::vector<float>(parts), std::vector<float>(weights), std::vector<float>(rows)};
}

/// Writes the codes and grid of one row.
void keep(const Rows& rows, std::int64_t row, const std::vector<float>& sizes, const std::vector<std::int16_t>& codes,
          RoundedWeight& out) {
  const std::int64_t k = rows.problem.columns, groups = rows.problem.grid.groups;
  std::copy_n(codes.begin() + row * k, k, out.codes.begin() + (rows.first + row) * k);
  std::copy_n(sizes.begin() + row * groups, groups, out.grid.scales.begin() + (rows.first + row) * groups);
}

void learn(const LayerLoss& loss, const FlexRoundSettings& settings, Rows& rows, RoundedWeight& out) {
  const auto n = static_cast<std::size_t>(rows.count), k = static_cast<std::size_t>(rows.problem.columns);
  const std::size_t parts = n * static_cast<std::size_t>(rows.problem.grid.groups);
  FlexRoundParameters at = zeros(parts, rows.size(), n), gradient = at;
  Adam size_adam(parts), element_adam(rows.size()), row_adam(n);
  std::vector<std::int16_t> codes(rows.size());
  std::vector<float> values(rows.size()), half(rows.size());
  std::vector<double> best(n, HUGE_VAL);
  for (int i = 0; i <= settings.iterations; ++i) {
    const std::vector<float> sizes = sizes_of(rows, at);
    round(rows, at, sizes, codes, values);
    loss.half_gradient(rows.first, values, half);
    for (std::size_t r = 0; r < n; ++r) {
      const double now = loss.of_row(rows.first + static_cast<std::int64_t>(r), std::span(values).subspan(r * k, k),
                                     std::span(half).subspan(r * k, k));
      if (!(now < best[r])) continue;
      best[r] = now;
      keep(rows, static_cast<std::int64_t>(r), sizes, codes, out);
    }
    if (i == settings.iterations) break;
    back(rows, sizes, codes, half, gradient);
    const double rate = settings.rate * 0.5 * (1 + std::cos(std::numbers::pi * i / settings.iterations));
    size_adam.step(at.size, gradient.size, rate);
    element_adam.step(at.element, gradient.element, rate);
    row_adam.step(at.row, gradient.row, rate);
  }
}

}  // namespace

FlexRoundParameters FlexRoundParameters::start(const RoundingProblem& problem) {
  return zeros(problem.grid.scales.size(), problem.weights.size(), static_cast<std::size_t>(problem.rows));
}

RoundedWeight flexround_at(const RoundingProblem& problem, const FlexRoundParameters& at) {
  Rows rows{problem, 0, problem.rows, {}};
  RoundedWeight out{std::vector<std::int16_t>(problem.weights.size()), problem.grid,
                    std::vector<float>(problem.weights.size()), 0, 0};
  out.grid.scales = sizes_of(rows, at);
  round(rows, at, out.grid.scales, out.codes, out.values);
  return out;
}

FlexRoundParameters flexround_gradient(const RoundingProblem& problem, const FlexRoundParameters& at) {
  Rows rows{problem, 0, problem.rows, {}};
  const std::vector<float> sizes = sizes_of(rows, at);
  std::vector<std::int16_t> codes(rows.size());
  std::vector<float> values(rows.size()), half(rows.size());
  round(rows, at, sizes, codes, values);
  LayerLoss(problem).half_gradient(0, values, half);
  FlexRoundParameters out = at;
  back(rows, sizes, codes, half, out);
  return out;
}

RoundedWeight round_flexround(const RoundingProblem& problem, const FlexRoundSettings& settings) {
  assert(!problem.gram.empty() && settings.iterations > 0);
  check(problem);
  const LayerLoss loss(problem);
  RoundedWeight out{std::vector<std::int16_t>(problem.weights.size()), problem.grid, {}, 0, 0};
  for_rows_together(problem, [&](std::int64_t first, std::int64_t count) {
    Rows rows{problem, first, count, {}};
    learn(loss, settings, rows, out);
  });
  out = rounded(problem, out.grid, std::move(out.codes));
  if (settings.descend) out = descend(problem, loss, std::move(out));
  return accepted(problem, std::move(out));
}

RoundedWeight round_flexround(const RoundingProblem& problem) { return round_flexround(problem, {}); }

}  // namespace bitplan
