#include "quant/roundings/hqq.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/parallel.hpp"
#include "quant/ranges/value_range.hpp"
#include "quant/roundings/hqq_step.hpp"

namespace bitplan {
namespace {

using Part = std::span<const float>;

/// Of a part that is not empty, in float32; that of equal values is exact.
float mean_of(Part part) {
  double sum = 0;
  for (const float w : part) sum += static_cast<double>(w);
  return static_cast<float>(sum / static_cast<double>(part.size()));
}

/// The grid of min-max. Equal values c: s = 1, z = -c, which is exact; likewise with their mean for c where the scale
/// would be no normal number, which is never worse than zeros.
HqqGrid min_max_grid(Part part, int q_max) {
  HqqGrid grid;
  grid.q_max = static_cast<float>(q_max);
  if (part.empty()) return grid;
  const auto [low, high] = std::minmax_element(part.begin(), part.end());
  const double range = static_cast<double>(*high) - static_cast<double>(*low);
  const auto scale = static_cast<float>(range / q_max);
  if (std::isnormal(scale) && std::isfinite(1 / scale)) {
    grid.scale = scale;
    grid.inverse = 1 / scale;
    grid.zero = -*low * grid.inverse;
  } else {
    grid.zero = -mean_of(part);
  }
  return grid;
}

struct Found {
  HqqGrid grid;
  double squares;
};

/// z by half-quadratic steps from `start`; the best grid met, the start included.
Found improve_zero(Part part, const HqqGrid& start, const HqqSettings& settings) {
  HqqGrid grid = start;
  double beta = settings.beta;
  HqqStep now = hqq_step(part, grid, settings.p, beta);
  Found best{grid, now.squares};
  for (int i = 0; i < settings.iterations; ++i) {
    grid.zero = static_cast<float>(now.zero);
    beta *= settings.kappa;
    now = hqq_step(part, grid, settings.p, beta);
    if (!(now.squares < best.squares)) break;
    best = {grid, now.squares};
  }
  return best;
}

/// The best 1 / s within reach of the start, z moving along so that the smallest value keeps its code.
HqqGrid best_of_grid(Part part, const HqqGrid& start, const HqqSettings& settings) {
  Found best{start, hqq_step(part, start, settings.p, settings.beta).squares};
  for (int i = 0; i < settings.grid_points; ++i) {
    const double offset = settings.grid_points > 1 ? 2.0 * i / (settings.grid_points - 1) - 1 : 0;
    HqqGrid grid = start;
    grid.inverse = static_cast<float>(start.inverse * (1 + settings.grid_reach * offset));
    grid.scale = 1 / grid.inverse;
    const double squares = hqq_step(part, grid, settings.p, settings.beta).squares;
    if (squares < best.squares) best = {grid, squares};
  }
  return best.grid;
}

/// s and z of least squared error for the codes of `grid`; `grid` itself when all codes are equal.
HqqGrid least_squares(Part part, const HqqGrid& grid) {
  double sum_w = 0, sum_q = 0, sum_qq = 0, sum_wq = 0;
  for (const float w : part) {
    const double q = std::nearbyint(std::clamp(w * grid.inverse + grid.zero, 0.0F, grid.q_max));
    sum_w += static_cast<double>(w);
    sum_q += q;
    sum_qq += q * q;
    sum_wq += q * static_cast<double>(w);
  }
  const auto n = static_cast<double>(part.size());
  const double variance = n * sum_qq - sum_q * sum_q, covariance = n * sum_wq - sum_w * sum_q;
  if (!(variance > 0 && covariance > 0)) return grid;
  HqqGrid out = grid;
  out.scale = static_cast<float>(covariance / variance);
  if (!std::isnormal(out.scale) || !std::isfinite(1 / out.scale)) return grid;
  out.inverse = 1 / out.scale;
  out.zero = static_cast<float>((sum_q - sum_w * variance / covariance) / n);
  return out;
}

Found solve(Part part, int q_max, const HqqSettings& settings) {
  const HqqGrid start = min_max_grid(part, q_max);
  if (settings.scale == HqqSettings::Scale::grid) {
    const Found plain = improve_zero(part, start, settings);
    const Found searched = improve_zero(part, best_of_grid(part, start, settings), settings);
    return searched.squares < plain.squares ? searched : plain;
  }
  Found best = improve_zero(part, start, settings);
  for (int i = 0; settings.scale == HqqSettings::Scale::alternating && i < settings.iterations; ++i) {
    const Found next = improve_zero(part, least_squares(part, best.grid), settings);
    if (!(next.squares < best.squares)) break;
    best = next;
  }
  return best;
}

}  // namespace

HqqResult hqq(std::span<const float> values, std::span<const std::int64_t> begins, int q_max,
              const HqqSettings& settings, int threads) {
  assert(!begins.empty() && begins.back() == static_cast<std::int64_t>(values.size()) && q_max >= 1);
  range_of(values);  // names the first value that is not finite
  constexpr std::size_t kTogether = 32;
  const std::size_t parts = begins.size() - 1;
  HqqResult out{std::vector<float>(parts), std::vector<float>(parts), std::vector<std::int16_t>(values.size()), 0};
  std::vector<double> errors(parts);
  parallel_for((parts + kTogether - 1) / kTogether, threads, [&](std::size_t chunk, int) {
    for (std::size_t p = chunk * kTogether; p < std::min(parts, (chunk + 1) * kTogether); ++p) {
      const auto begin = static_cast<std::size_t>(begins[p]), end = static_cast<std::size_t>(begins[p + 1]);
      const Found found = solve(values.subspan(begin, end - begin), q_max, settings);
      out.scales[p] = found.grid.scale;
      out.zero_points[p] = found.grid.zero;
      errors[p] = hqq_step(values.subspan(begin, end - begin), found.grid, settings.p, settings.beta).error;
      for (std::size_t i = begin; i < end; ++i)
        out.codes[i] = static_cast<std::int16_t>(
            std::nearbyint(std::clamp(values[i] * found.grid.inverse + found.grid.zero, 0.0F, found.grid.q_max)));
    }
  });
  for (const double error : errors)
    out.mean_abs_error += error / static_cast<double>(std::max<std::size_t>(1, values.size()));
  return out;
}

std::vector<std::int64_t> part_bounds(std::int64_t rows, std::int64_t columns, std::int64_t group) {
  std::vector<std::int64_t> begins{0};
  if (group <= 0) group = std::max<std::int64_t>(1, columns);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; c += group) begins.push_back(r * columns + std::min(columns, c + group));
  return begins;
}

}  // namespace bitplan
