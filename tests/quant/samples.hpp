#pragma once
// Values of known distributions for the tests of quant/.

#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.hpp"
#include "quant/choice.hpp"

namespace bitplan::test {

/// n values: "gauss", "relu" (of gauss), "uniform", "heavy" (Student's t, 3 degrees of freedom), "shifted" (gauss + 2).
inline std::vector<float> sample(std::string_view kind, std::size_t n, std::uint64_t seed = 1) {
  Rng rng(seed, kind);
  std::vector<float> values(n);
  for (float& value : values) {
    double x = kind == "uniform" ? 2 * rng.unit() - 0.5 : rng.normal();
    if (kind == "relu") x = x < 0 ? 0 : x;
    if (kind == "shifted") x += 2;
    if (kind == "heavy") {
      double squares = 0;
      for (int k = 0; k < 3; ++k) squares += std::pow(rng.normal(), 2);
      x /= std::sqrt(squares / 3);
    }
    value = static_cast<float>(x);
  }
  return values;
}
inline constexpr std::string_view kDistributions[] = {"gauss", "relu", "uniform", "heavy", "shifted"};

/// Equal to the bit: NaN equals NaN of the same bits, 0 is not -0.
inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return false;
  return true;
}

inline Choice weight_choice(const std::string& text) {
  return parse_choice(text, ChoiceDefaults::weights(), ChoiceDefaults::weights());
}

/// int2 … int8, which take every modifier of integers.
inline bool is_plain_integer(const FormatEntry& format) {
  return format.family == FormatFamily::integer && format.bits >= 2 && format.bits <= 8;
}
/// Ranges of symmetric and affine integers alike that need no data.
inline bool is_plain_range(const RangeEntry& range) {
  using enum RangeMethod;
  return range.method == absmax || range.method == minmax || range.method == percentile || range.method == mse ||
         range.method == grid || range.method == lp;
}

}  // namespace bitplan::test
