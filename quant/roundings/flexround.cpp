#include "quant/roundings/flexround.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

#include "quant/math/vector_math.hpp"
#include "quant/roundings/adam.hpp"
#include "quant/roundings/layer_loss.hpp"
#include "quant/roundings/learned_rows.hpp"

namespace bitplan {
namespace {

/// A few rows of the problem, with buffers by weight.
struct Rows {
  const RoundingProblem& problem;
  std::int64_t first, count;
  std::vector<float> position;         // u
  std::vector<std::uint32_t> row_of;   // of these rows
  std::vector<std::uint32_t> part_of;  // among the parts of these rows
  std::vector<float> whole;            // by part: the integer next to its zero point

  Rows(const RoundingProblem& all, std::int64_t begin, std::int64_t n) : problem(all), first(begin), count(n) {
    for (std::int64_t r = 0; r < n; ++r)
      for (std::int64_t c = 0; c < problem.columns; ++c) {
        row_of.push_back(static_cast<std::uint32_t>(r));
        part_of.push_back(static_cast<std::uint32_t>(problem.grid.part(r, c)));
      }
    for (std::size_t p = 0; p < static_cast<std::size_t>(n * problem.grid.groups); ++p)
      whole.push_back(std::nearbyint(zero(p)));
  }
  std::size_t size() const { return static_cast<std::size_t>(count * problem.columns); }
  std::size_t first_part() const { return static_cast<std::size_t>(first * problem.grid.groups); }
  float zero(std::size_t part) const { return problem.grid.zero_points[first_part() + part]; }
};

std::vector<float> sizes_of(const Rows& rows, const FlexRoundParameters& at) {
  std::vector<float> sizes(at.size.size());
  for (std::size_t p = 0; p < sizes.size(); ++p)
    sizes[p] = rows.problem.grid.scales[rows.first_part() + p] * fast_exp(at.size[p]);
  return sizes;
}

/// out = w exp(-B).
BITPLAN_KERNEL void divide(const float* weights, const float* element, float* out, std::size_t n) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(load(weights + i) * fast_exp(-load(element + i)), out + i);
  for (; i < n; ++i) out[i] = weights[i] * fast_exp(-element[i]);
}
void divide_generic(const float* w, const float* element, float* out, std::size_t n) { divide(w, element, out, n); }
BITPLAN_AVX2 void divide_avx2(const float* w, const float* element, float* out, std::size_t n) {
  divide(w, element, out, n);
}
BITPLAN_AVX512 void divide_avx512(const float* w, const float* element, float* out, std::size_t n) {
  divide(w, element, out, n);
}
constexpr decltype(&divide_generic) kDivide[] = {divide_generic, divide_avx2, divide_avx512};

void round(Rows& rows, const FlexRoundParameters& at, const std::vector<float>& sizes, std::span<std::int16_t> codes,
           std::span<float> values) {
  const auto q_min = static_cast<float>(rows.problem.grid.q_min), q_max = static_cast<float>(rows.problem.grid.q_max);
  rows.position.resize(rows.size());
  kDivide[static_cast<std::size_t>(best_isa())](rows.problem.weights.data() + rows.first * rows.problem.columns,
                                                at.element.data(), rows.position.data(), rows.size());
  std::vector<float> divisors = sizes;  // s1 s3
  const auto groups = static_cast<std::size_t>(rows.problem.grid.groups);
  for (std::size_t p = 0; p < divisors.size(); ++p) divisors[p] *= fast_exp(at.row[p / groups]);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t part = rows.part_of[i];
    const float zero = rows.zero(part), whole = rows.whole[part];
    const float u = rows.position[i] / divisors[part];
    const float level = fast_rint(u + (zero - whole)) + whole;
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
    const std::size_t part = rows.part_of[i];
    const float zero = rows.zero(part), whole = rows.whole[part], slope = 2 * half[i] * sizes[part];
    const float u = rows.position[i], code = codes[i];
    const bool inside = fast_rint(u + (zero - whole)) + whole == code;
    out.element[i] = inside ? -slope * u : 0;
    out.row[rows.row_of[i]] += out.element[i];
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
    check_stop(rows.problem);
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
  Rows rows(problem, 0, problem.rows);
  RoundedWeight out{std::vector<std::int16_t>(problem.weights.size()), problem.grid,
                    std::vector<float>(problem.weights.size()), 0, 0};
  out.grid.scales = sizes_of(rows, at);
  round(rows, at, out.grid.scales, out.codes, out.values);
  return out;
}

FlexRoundParameters flexround_gradient(const RoundingProblem& problem, const FlexRoundParameters& at) {
  Rows rows(problem, 0, problem.rows);
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
  return learn_rows(problem, loss, settings.descend, [&](std::int64_t first, std::int64_t count, RoundedWeight& out) {
    Rows rows(problem, first, count);
    learn(loss, settings, rows, out);
  });
}

RoundedWeight round_flexround(const RoundingProblem& problem) { return round_flexround(problem, {}); }

}  // namespace bitplan
