#include "quant/ranges/range_search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/ranges/value_range.hpp"
#include "quant/ranges/weight_range.hpp"

namespace bitplan {
namespace {

constexpr int kRatios = 100, kGridSteps = 20;
constexpr double kSmallestRatio = 0.3;

double power_of(double error, double power) { return power == 2 ? error * error : std::pow(std::abs(error), power); }

template <class Quantized>
double sum_of_errors(std::span<const float> part, const ErrorNorm& norm, Quantized quantized) {
  double sum = 0;
  for (std::size_t i = 0; i < part.size(); ++i) {
    const double error = power_of(static_cast<double>(quantized(part[i])) - part[i], norm.power);
    sum += norm.importance.empty() ? error : error * norm.importance[i];
  }
  return sum;
}

/// The candidate of the range method with the least error; made_of(ratio) makes a candidate.
template <class Make>
auto best_candidate(std::span<const float> part, std::span<const float> importance, const Choice& choice,
                    Make made_of) {
  const bool grid = choice.range == RangeMethod::grid;
  const ErrorNorm norm{choice.range == RangeMethod::lp ? choice.norm : 2,
                       choice.range == RangeMethod::wmse ? importance : std::span<const float>{}};
  const int candidates = grid ? kGridSteps : kRatios;
  double least = std::numeric_limits<double>::infinity();
  auto best = made_of(1.0);
  for (int i = 0; i < candidates; ++i) {
    // grid goes up, as the method it is named after; the others go down, so that of equal errors less is clipped
    const double ratio = grid ? (i + 1.0) / kGridSteps : 1 - (1 - kSmallestRatio) * i / (kRatios - 1);
    const auto candidate = made_of(ratio);
    const double error = range_error(part, candidate, norm);
    if (error < least) least = error, best = candidate;
  }
  return best;
}

/// Brevitas' MSE grid of affine integers: the scale first, of k / 20 of the range for the zero point of min w; then,
/// for this scale, the zero point of min w k / 20, from 20 / 20 down. Of equal errors the first.
Affine scale_then_zero(std::span<const float> part, const Choice& choice) {
  Affine best = affine_from_range(0, 0, choice.bits, false, false);
  const Range range = range_of(part);
  const double low = std::min(range.low, 0.0F), width = std::max(range.high, 0.0F) - low;
  const auto made = [&](double scale, double lowest) {
    Affine q = best;
    q.scale = static_cast<float>(std::max<double>(scale, std::numeric_limits<float>::min()));
    q.zero_point = static_cast<std::int32_t>(
        std::clamp<double>(std::nearbyint(-lowest / static_cast<double>(q.scale)), q.q_min, q.q_max));
    q.scale = std::min(q.scale, largest_scale(std::max(q.zero_point - q.q_min, q.q_max - q.zero_point)));
    return q;
  };
  const auto take_best = [&](auto candidate) {
    double least = std::numeric_limits<double>::infinity();
    Affine found = best;
    for (int i = 0; i < kGridSteps; ++i) {
      const Affine q = candidate(i);
      if (const double error = range_error(part, q, {}); error < least) least = error, found = q;
    }
    best = found;
  };
  if (width > 0) {
    take_best([&](int i) { return made(width * (i + 1) / kGridSteps / best.q_max, low); });
    take_best([&](int i) { return made(best.scale, low * (kGridSteps - i) / kGridSteps); });
  }
  return best;
}

}  // namespace

double range_error(std::span<const float> part, const Affine& q, const ErrorNorm& norm) {
  const float inverse = 1 / q.scale;
  const auto low = static_cast<float>(q.q_min - q.zero_point), high = static_cast<float>(q.q_max - q.zero_point);
  return sum_of_errors(part, norm,
                       [=](float x) { return q.scale * std::clamp(std::nearbyint(x * inverse), low, high); });
}

double range_error(std::span<const float> part, const Grid& grid, const ErrorNorm& norm) {
  return sum_of_errors(part, norm, [&](float x) { return grid.value(x); });
}

Grid search_grid(const std::shared_ptr<const Levels>& levels, std::span<const float> part,
                 std::span<const float> importance, const Choice& choice) {
  const float most = absmax_of(part);
  const auto grid_of = [&](double limit) { return Grid{levels, static_cast<float>(limit / levels->largest())}; };
  if (choice.range == RangeMethod::absmax || most == 0) return grid_of(most);
  if (choice.range == RangeMethod::percentile) return grid_of(percentile_absmax(part, choice.percentile));
  return best_candidate(part, importance, choice, [&](double ratio) { return grid_of(ratio * most); });
}

Affine search_affine(std::span<const float> part, std::span<const float> importance, const Choice& choice) {
  if (choice.range == RangeMethod::grid && !choice.symmetric) return scale_then_zero(part, choice);
  const Range range = range_of(part);
  return best_candidate(part, importance, choice, [&](double ratio) {
    return affine_from_range(static_cast<float>(range.low * ratio), static_cast<float>(range.high * ratio), choice.bits,
                             choice.symmetric, choice.narrow);
  });
}

double octav_clip(std::span<const float> part, int bits) {
  const double k = std::pow(4.0, -bits) / 3;
  double s = absmax_of(part) / 2.0;
  for (int i = 0; i < 100 && s > 0; ++i) {
    double sum = 0, beyond = 0;
    for (const float x : part)
      if (const double m = std::abs(static_cast<double>(x)); m >= s) sum += m, ++beyond;
    const double next = sum / (beyond * (1 - k) + k * static_cast<double>(part.size()));
    const bool still = std::abs(next - s) <= 1e-12 * s;
    s = next;
    if (still) break;
  }
  return s;
}

}  // namespace bitplan
