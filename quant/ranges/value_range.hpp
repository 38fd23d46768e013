#pragma once

#include <cstdint>
#include <span>

#include "quant/math/isa.hpp"

namespace bitplan {

/// Closed interval of real values.
struct Range {
  float low = 0, high = 0;
  bool operator==(const Range&) const = default;
};

/// Smallest and largest value; [0, 0] of none. Throws InputError naming the first NaN or infinite value.
Range range_of(std::span<const float> values);
Range range_of_on(Isa isa, std::span<const float> values);

/// Largest magnitude; 0 of none.
float absmax_of(std::span<const float> values);

/// How many of n values lie inside a range that holds at least `percentile` per cent of them: ceil(n * percentile /
/// 100).
std::int64_t values_inside(std::int64_t n, double percentile);

}  // namespace bitplan
