#include "quant/weight_range.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "quant/value_range.hpp"

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
  std::vector<float> values(part.begin(), part.end());
  if (choice.symmetric) {
    for (float& value : values) value = std::abs(value);
    const float most = nth(values, inside - 1);
    return {-most, most};
  }
  const std::int64_t below = (n - inside) / 2;
  return {nth(values, below), nth(values, below + inside - 1)};
}

Affine quantizer(Range range, const Choice& choice) {
  return affine_from_range(range.low, range.high, choice.bits, choice.symmetric, choice.narrow);
}

}  // namespace

Affine weight_quantizer(std::span<const float> part, const Choice& choice) {
  switch (choice.range) {
    case RangeMethod::absmax:
      return quantizer(absmax_range(part), choice);
    case RangeMethod::minmax:
      return quantizer(range_of(part), choice);
    case RangeMethod::percentile:
      return quantizer(percentile_range(part, choice), choice);
    case RangeMethod::mse:
      break;
  }
  return mse_weight_quantizer(part, choice);
}

}  // namespace bitplan
