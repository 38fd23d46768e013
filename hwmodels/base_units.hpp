#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>

namespace bitplan {

/// Whole units of a real figure. Figures come from decimal text, so 2.1 ms arrives as 2100000000.0000002 ps: what lies
/// within 1e-12 (relative, at least 1e-9) of a whole number is that number. Nothing when it does not fit 2^62 or is
/// NaN.
inline std::optional<std::int64_t> whole_units(double value, double (*round)(double)) {
  if (!(std::abs(value) < 0x1p62)) return std::nullopt;
  const double near = std::rint(value);
  const bool whole = std::abs(value - near) <= std::max(1e-9, 1e-12 * std::abs(value));
  return static_cast<std::int64_t>(whole ? near : round(value));
}
/// Costs are rounded up, limits down.
inline std::optional<std::int64_t> units_up(double value) { return whole_units(value, std::ceil); }
inline std::optional<std::int64_t> units_down(double value) { return whole_units(value, std::floor); }

}  // namespace bitplan
