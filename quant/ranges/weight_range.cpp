#include "quant/ranges/weight_range.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>
#include <vector>

#include "quant/ranges/range_search.hpp"
#include "quant/ranges/value_range.hpp"

namespace bitplan {
namespace {

Range absmax_range(std::span<const float> part) {
  const Range range = range_of(part);
  const float most = std::max(std::abs(range.low), std::abs(range.high));
  return {-most, most};
}

/// The value that would stand at `index` were the values sorted.
float nth(std::vector<float>& values, std::int64_t index) {
  std::nth_element(values.begin(), values.begin() + index, values.end());
  return values[static_cast<std::size_t>(index)];
}

Range percentile_range(std::span<const float> part, const Choice& choice) {
  const auto n = static_cast<std::int64_t>(part.size());
  const std::int64_t inside = values_inside(n, choice.percentile);
  if (inside == 0) return {};
  if (choice.symmetric) {
    const float most = percentile_absmax(part, choice.percentile);
    return {-most, most};
  }
  std::vector<float> values(part.begin(), part.end());
  const std::int64_t below = (n - inside) / 2;
  return {nth(values, below), nth(values, below + inside - 1)};
}

Affine quantizer(Range range, const Choice& choice) {
  return affine_from_range(range.low, range.high, choice.bits, choice.symmetric, choice.narrow);
}

/// The symmetric quantizer of scale s; zeros alone give scale 1.
Affine of_scale(double scale, const Choice& choice) {
  Affine q = affine_from_range(0, 0, choice.bits, true, choice.narrow);
  const double least = std::numeric_limits<float>::min(), most = largest_scale(-q.q_min);
  if (scale > 0) q.scale = static_cast<float>(std::clamp(scale, least, most));
  return q;
}

double half_step_scale(std::span<const float> part, bool narrow, int bits) {
  return absmax_of(part) / (((1 << bits) - (narrow ? 2 : 1)) / 2.0);
}

Affine noclip_quantizer(std::span<const float> part, const Choice& choice) {
  const Range range = range_of(part);
  const Affine codes = of_scale(0, choice);
  return of_scale(std::max(static_cast<double>(range.high) / codes.q_max, static_cast<double>(range.low) / codes.q_min),
                  choice);
}

Affine pow2_quantizer(std::span<const float> part, const Choice& choice) {
  const double scale = half_step_scale(part, false, choice.bits);
  if (scale == 0) return of_scale(0, choice);
  const Affine start = of_scale(std::exp2(std::nearbyint(std::log2(scale))), choice);
  if (choice.range == RangeMethod::pow2) return start;
  Affine best;
  double least = std::numeric_limits<double>::infinity();
  for (const double factor : std::array{4.0, 2.0, 1.0, 0.5, 0.25}) {
    const Affine q = of_scale(factor * start.scale, choice);
    const double error = range_error(part, q, {});
    if (error < least) least = error, best = q;
  }
  return best;
}

}  // namespace

FitGrid part_grid(std::span<const float> part, const Choice& choice, std::span<const float> importance) {
  if (choice.range == RangeMethod::fit)
    return fit_range(part, FitCodes::of(choice.bits, choice.symmetric, choice.narrow));
  const Affine q = weight_quantizer(part, choice, importance);
  return {q.scale, static_cast<float>(q.zero_point), q.q_min, q.q_max};
}

bool finds_parts_alone(RangeMethod range) { return range != RangeMethod::wmse && range != RangeMethod::output; }

float percentile_absmax(std::span<const float> part, double percentile) {
  const std::int64_t inside = values_inside(static_cast<std::int64_t>(part.size()), percentile);
  if (inside == 0) return 0;
  std::vector<float> values(part.begin(), part.end());
  for (float& value : values) value = std::abs(value);
  return nth(values, inside - 1);
}

Affine weight_quantizer(std::span<const float> part, const Choice& choice, std::span<const float> importance) {
  switch (choice.range) {
    case RangeMethod::absmax:
      return quantizer(absmax_range(part), choice);
    case RangeMethod::output:
    case RangeMethod::minmax:
      return quantizer(range_of(part), choice);
    case RangeMethod::percentile:
      return quantizer(percentile_range(part, choice), choice);
    case RangeMethod::mse:
      return mse_weight_quantizer(part, choice);
    case RangeMethod::grid:
    case RangeMethod::lp:
    case RangeMethod::wmse:
      return search_affine(part, importance, choice);
    case RangeMethod::octav: {
      const auto clip = static_cast<float>(octav_clip(part, choice.bits));
      return quantizer({-clip, clip}, choice);
    }
    case RangeMethod::halfstep:
      return of_scale(half_step_scale(part, choice.narrow, choice.bits), choice);
    case RangeMethod::noclip:
      return noclip_quantizer(part, choice);
    case RangeMethod::fit:
      assert(choice.symmetric);
      return of_scale(static_cast<double>(part_grid(part, choice).scale), choice);
    case RangeMethod::pow2:
    case RangeMethod::pow2_mse:
      break;
  }
  return pow2_quantizer(part, choice);
}

}  // namespace bitplan
