#include "quant/ranges/value_range.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "core/error.hpp"

namespace bitplan {
namespace {

/// The bits of a float as an integer that grows with its value; NaN stands beyond the infinities.
constexpr std::int32_t ordered(float value) {
  const auto bits = std::bit_cast<std::int32_t>(value);
  return bits ^ ((bits >> 31) & 0x7fffffff);
}
constexpr float value_of(std::int32_t ordered_bits) {
  return std::bit_cast<float>(ordered_bits ^ ((ordered_bits >> 31) & 0x7fffffff));
}

struct OrderedRange {
  std::int32_t low = std::numeric_limits<std::int32_t>::max(), high = std::numeric_limits<std::int32_t>::min();
};

// Integers, since the compiler may not reorder comparisons of floats.
BITPLAN_KERNEL OrderedRange scan(const float* x, std::size_t n) {
  OrderedRange range;
  for (std::size_t i = 0; i < n; ++i) {
    const std::int32_t value = ordered(x[i]);
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  return range;
}

OrderedRange scan_generic(const float* x, std::size_t n) { return scan(x, n); }
BITPLAN_AVX2 OrderedRange scan_avx2(const float* x, std::size_t n) { return scan(x, n); }
BITPLAN_AVX512 OrderedRange scan_avx512(const float* x, std::size_t n) { return scan(x, n); }

[[noreturn]] void fail_at_first_not_finite(std::span<const float> values) {
  const auto bad = std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  throw InputError("value " + std::to_string(bad - values.begin()) + " of " + std::to_string(values.size()) + " is " +
                   (std::isnan(*bad) ? "NaN" : "infinite") + "; only finite values can be quantized");
}

}  // namespace

Range range_of_on(Isa isa, std::span<const float> values) {
  if (values.empty()) return {};
  constexpr decltype(&scan_generic) kernels[] = {scan_generic, scan_avx2, scan_avx512};
  const OrderedRange range = kernels[static_cast<std::size_t>(isa)](values.data(), values.size());
  constexpr float kMax = std::numeric_limits<float>::max();
  if (range.low < ordered(-kMax) || range.high > ordered(kMax)) fail_at_first_not_finite(values);
  return {value_of(range.low) + 0.0F, value_of(range.high) + 0.0F};  // -0 becomes 0
}

Range range_of(std::span<const float> values) { return range_of_on(best_isa(), values); }

float absmax_of(std::span<const float> values) {
  const Range range = range_of(values);
  return std::max(std::abs(range.low), std::abs(range.high));
}

std::int64_t values_inside(std::int64_t n, double percentile) {
  // The factor keeps 99.9 % of 1000 at 999 whatever the last bit of the product is.
  const double inside = std::ceil(percentile / 100 * static_cast<double>(n) * (1 - 0x1p-40));
  return std::clamp(static_cast<std::int64_t>(inside), std::int64_t{0}, n);
}

}  // namespace bitplan
