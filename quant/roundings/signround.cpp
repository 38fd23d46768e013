#include "quant/roundings/signround.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "quant/math/vector_math.hpp"
#include "quant/roundings/layer_loss.hpp"
#include "quant/roundings/learned_rows.hpp"

namespace bitplan {
namespace {

constexpr float kLeastScale = 1e-5F;

/// A part's grid as a function of its factors, with the derivatives of s and (straight-through) z.
struct PartGrid {
  float scale = 1, zero = 0;
  float scale_by_min = 0, scale_by_max = 0;  // ds/dcm, ds/dcM
  float zero_by_min = 0, zero_by_max = 0;
};

PartGrid part_grid(float low, float high, float min_factor, float max_factor, std::int32_t q_min, std::int32_t q_max) {
  const float m = low * min_factor, most = high * max_factor;
  PartGrid out;
  if (q_min < 0) {
    const auto levels = static_cast<float>(-q_min);
    const bool upper = most >= -m;
    out.scale = (upper ? -most : -m) / levels;
    (upper ? out.scale_by_max : out.scale_by_min) = (upper ? -high : -low) / levels;
    const bool negative = out.scale < 0;
    if (std::abs(out.scale) < kLeastScale) out = {negative ? -kLeastScale : kLeastScale, 0, 0, 0, 0, 0};
    return out;
  }
  const auto levels = static_cast<float>(q_max);
  out.scale = (most - m) / levels;
  out.scale_by_min = -low / levels;
  out.scale_by_max = high / levels;
  if (out.scale < kLeastScale) out = {kLeastScale, 0, 0, 0, 0, 0};
  out.zero = std::nearbyint(-m / out.scale);
  const float by_scale = m / (out.scale * out.scale);
  out.zero_by_min = -low / out.scale + by_scale * out.scale_by_min;
  out.zero_by_max = by_scale * out.scale_by_max;
  return out;
}

/// A few rows of the problem with all that learning them needs.
struct Rows {
  const RoundingProblem& problem;
  std::int64_t first, count;
  std::vector<float> low, high;  // by part of these rows, 0 included
  std::vector<PartGrid> grids;
  std::vector<std::uint32_t> part_of;  // by weight

  Rows(const RoundingProblem& whole, std::int64_t begin, std::int64_t n)
      : problem(whole),
        first(begin),
        count(n),
        low(static_cast<std::size_t>(n * whole.grid.groups)),
        high(low.size()),
        grids(low.size()) {
    for (std::int64_t i = 0; i < n * whole.columns; ++i) {
      const std::size_t part = problem.grid.part(i / problem.columns, i % problem.columns);
      part_of.push_back(static_cast<std::uint32_t>(part));
      low[part] = std::min(low[part], weight(i));
      high[part] = std::max(high[part], weight(i));
    }
  }
  float weight(std::int64_t i) const { return problem.weights[static_cast<std::size_t>(first * problem.columns + i)]; }
  std::size_t size() const { return static_cast<std::size_t>(count * problem.columns); }

  void set_grids(const SignRoundParameters& at) {
    for (std::size_t p = 0; p < grids.size(); ++p)
      grids[p] = part_grid(low[p], high[p], at.min_factor[p], at.max_factor[p], problem.grid.q_min, problem.grid.q_max);
  }
  void round(const SignRoundParameters& at, std::vector<std::int16_t>& codes, std::vector<float>& values) const {
    const auto q_min = static_cast<float>(problem.grid.q_min), q_max = static_cast<float>(problem.grid.q_max);
    for (std::size_t i = 0; i < size(); ++i) {
      const PartGrid& g = grids[part_of[i]];
      const float level = fast_rint(weight(static_cast<std::int64_t>(i)) / g.scale + at.offset[i]) + g.zero;
      const float code = std::clamp(level, q_min, q_max);
      codes[i] = static_cast<std::int16_t>(code);
      values[i] = g.scale * (code - g.zero);
    }
  }
  /// From the half gradient of L by value to the gradient by parameter.
  void back(const SignRoundParameters& at, std::span<const float> half, const std::vector<std::int16_t>& codes,
            SignRoundParameters& out) const {
    std::fill(out.min_factor.begin(), out.min_factor.end(), 0.0F);
    std::fill(out.max_factor.begin(), out.max_factor.end(), 0.0F);
    for (std::size_t i = 0; i < size(); ++i) {
      const std::size_t part = part_of[i];
      const PartGrid& g = grids[part];
      const float ratio = weight(static_cast<std::int64_t>(i)) / g.scale, slope = 2 * half[i];
      const auto code = static_cast<float>(codes[i]);
      const bool inside = fast_rint(ratio + at.offset[i]) + g.zero == code;
      out.offset[i] = inside ? slope * g.scale : 0;
      const float by_scale = code - g.zero - (inside ? ratio : 0), by_zero = inside ? 0 : -g.scale;
      out.min_factor[part] += slope * (by_scale * g.scale_by_min + by_zero * g.zero_by_min);
      out.max_factor[part] += slope * (by_scale * g.scale_by_max + by_zero * g.zero_by_max);
    }
  }
};

/// The parameters of some rows out of all, and back.
SignRoundParameters rows_of(const SignRoundParameters& all, const Rows& rows) {
  const auto cut = [](const std::vector<float>& from, std::int64_t begin, std::size_t n) {
    const auto at = from.begin() + begin;
    return std::vector<float>(at, at + static_cast<std::ptrdiff_t>(n));
  };
  const std::int64_t part = rows.first * rows.problem.grid.groups;
  return {cut(all.offset, rows.first * rows.problem.columns, rows.size()), cut(all.min_factor, part, rows.low.size()),
          cut(all.max_factor, part, rows.low.size())};
}

void write_rows(const Rows& rows, std::span<const std::int16_t> codes, RoundedWeight& out) {
  std::copy(codes.begin(), codes.end(), out.codes.begin() + rows.first * rows.problem.columns);
  for (std::size_t p = 0; p < rows.grids.size(); ++p) {
    const auto at = static_cast<std::size_t>(rows.first * rows.problem.grid.groups) + p;
    out.grid.scales[at] = rows.grids[p].scale;
    out.grid.zero_points[at] = rows.grids[p].zero;
  }
}

/// The best iterate of each row so far.
struct Best {
  std::vector<double> loss;
  std::vector<std::int16_t> codes;
  std::vector<PartGrid> grids;

  void offer(const Rows& rows, std::int64_t row, double value, const std::vector<std::int16_t>& now) {
    if (!(value < loss[static_cast<std::size_t>(row)])) return;
    loss[static_cast<std::size_t>(row)] = value;
    const std::int64_t k = rows.problem.columns, groups = rows.problem.grid.groups;
    std::copy_n(now.begin() + row * k, k, codes.begin() + row * k);
    std::copy_n(rows.grids.begin() + row * groups, groups, grids.begin() + row * groups);
  }
};

void step(std::vector<float>& x, const std::vector<float>& gradient, float rate) {
  for (std::size_t i = 0; i < x.size(); ++i) x[i] -= rate * static_cast<float>((gradient[i] > 0) - (gradient[i] < 0));
}

void clamp_factors(std::vector<float>& factors) {
  for (float& f : factors) f = std::clamp(f, 0.0F, 1.0F);
}

void learn(const LayerLoss& loss, const SignRoundSettings& settings, Rows& rows, RoundedWeight& out) {
  const auto k = static_cast<std::size_t>(rows.problem.columns);
  SignRoundParameters at = rows_of(SignRoundParameters::start(rows.problem), rows), gradient = at;
  std::vector<std::int16_t> codes(rows.size());
  std::vector<float> values(rows.size()), half(rows.size());
  Best best{std::vector<double>(static_cast<std::size_t>(rows.count), HUGE_VAL), codes, rows.grids};
  for (int i = 0; i <= settings.iterations; ++i) {
    check_stop(rows.problem);
    rows.set_grids(at);
    rows.round(at, codes, values);
    loss.half_gradient(rows.first, values, half);
    for (std::int64_t r = 0; r < rows.count; ++r) {
      const std::size_t begin = static_cast<std::size_t>(r) * k;
      best.offer(rows, r,
                 loss.of_row(rows.first + r, std::span(values).subspan(begin, k), std::span(half).subspan(begin, k)),
                 codes);
    }
    if (i == settings.iterations) break;
    rows.back(at, half, codes, gradient);
    const auto rate = static_cast<float>((1 - static_cast<double>(i) / settings.iterations) / settings.iterations);
    step(at.offset, gradient.offset, rate);
    step(at.min_factor, gradient.min_factor, rate);
    step(at.max_factor, gradient.max_factor, rate);
    clamp_factors(at.min_factor);
    clamp_factors(at.max_factor);
  }
  rows.grids = best.grids;
  write_rows(rows, best.codes, out);
}

}  // namespace

SignRoundParameters SignRoundParameters::start(const RoundingProblem& problem) {
  const auto parts = static_cast<std::size_t>(problem.rows * problem.grid.groups);
  return {std::vector<float>(problem.weights.size()), std::vector<float>(parts, 1.0F), std::vector<float>(parts, 1.0F)};
}

RoundedWeight signround_at(const RoundingProblem& problem, const SignRoundParameters& at) {
  Rows rows(problem, 0, problem.rows);
  rows.set_grids(at);
  RoundedWeight out{std::vector<std::int16_t>(problem.weights.size()), problem.grid,
                    std::vector<float>(problem.weights.size()), 0, 0};
  rows.round(at, out.codes, out.values);
  write_rows(rows, out.codes, out);
  return out;
}

SignRoundParameters signround_gradient(const RoundingProblem& problem, const SignRoundParameters& at) {
  Rows rows(problem, 0, problem.rows);
  rows.set_grids(at);
  std::vector<std::int16_t> codes(rows.size());
  std::vector<float> values(rows.size()), half(rows.size());
  rows.round(at, codes, values);
  LayerLoss(problem).half_gradient(0, values, half);
  SignRoundParameters out = at;
  rows.back(at, half, codes, out);
  return out;
}

RoundedWeight round_signround(const RoundingProblem& problem, const SignRoundSettings& settings) {
  assert(!problem.gram.empty() && settings.iterations > 0);
  check(problem);
  const LayerLoss loss(problem);
  return learn_rows(problem, loss, settings.descend, [&](std::int64_t first, std::int64_t count, RoundedWeight& out) {
    Rows rows(problem, first, count);
    learn(loss, settings, rows, out);
  });
}

RoundedWeight round_signround(const RoundingProblem& problem) { return round_signround(problem, {}); }

}  // namespace bitplan
