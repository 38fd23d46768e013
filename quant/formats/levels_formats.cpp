#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "quant/formats/levels.hpp"
#include "quant/formats/number_format.hpp"

namespace bitplan {
namespace {

struct NamedMiniFloat {
  std::string_view name;
  MiniFloat format;
};
/// E4M3 has no infinity and one NaN; E5M2 is IEEE-like; the formats of 6 and 4 bits are all finite.
constexpr NamedMiniFloat kMiniFloats[] = {{"fp8", {4, 3, 0x7e}},
                                          {"fp8:e5m2", {5, 2, 0x7b}},
                                          {"fp6", {3, 2, 0x1f}},
                                          {"fp6:e2m3", {2, 3, 0x1f}},
                                          {"fp4", {2, 1, 0x07}}};

double magnitude(const MiniFloat& f, int pattern) {
  const int bias = (1 << (f.exponent_bits - 1)) - 1;
  const int exponent = pattern >> f.mantissa_bits, mantissa = pattern & ((1 << f.mantissa_bits) - 1);
  if (exponent == 0) return std::ldexp(mantissa, 1 - bias - f.mantissa_bits);
  return std::ldexp(mantissa + (1 << f.mantissa_bits), exponent - bias - f.mantissa_bits);
}

/// -m[n] … -m[1], 0, m[1] … m[n] of ascending magnitudes m[0] = 0, with codes -n … n.
Levels mirrored(const std::vector<double>& magnitudes) {
  std::vector<float> values;
  std::vector<std::int16_t> codes;
  const auto n = static_cast<int>(magnitudes.size()) - 1;
  for (int i = -n; i <= n; ++i) {
    const auto m = static_cast<float>(magnitudes[static_cast<std::size_t>(std::abs(i))]);
    values.push_back(i < 0 ? -m : m);
    codes.push_back(static_cast<std::int16_t>(i));
  }
  return Levels::nearest(std::move(values), std::move(codes));
}

/// Exponents -e of the terms 2^-e of the two or three sets whose members are added (each set has a 0 too).
using Sets = std::array<std::vector<int>, 3>;
Sets additive_sets(int bits) {
  switch (bits) {
    case 3:
      return {{{1, 2, 3}, {}, {}}};
    case 4:
      return {{{1, 2, 4}, {3}, {}}};
    case 5:
      return {{{1, 3, 5}, {2, 4, 6}, {}}};
    case 6:
      return {{{1, 3, 6}, {2, 4, 7}, {5}}};
    default:
      assert(bits == 7);
      return {{{1, 4, 7}, {2, 5, 8}, {3, 6, 9}}};
  }
}

constexpr std::string_view kAway = ":away";

Levels make_levels(std::string_view name, int bits) {
  if (name.ends_with(kAway)) return make_levels(name.substr(0, name.size() - kAway.size()), bits).away_from_zero();
  if (name.starts_with("mxint")) return integer_levels((1 << (bits - 1)) - 1, bits - 2);
  if (name.starts_with("mx")) name.remove_prefix(2);
  if (name == "fp4:bnb") return bitsandbytes_fp4_levels();
  if (name.starts_with("fp")) return mini_float_levels(mini_float(name));
  if (name == "nf4") return normal_float_levels();
  if (name.starts_with("pot")) return power_of_two_levels(bits);
  assert(name.starts_with("apot"));
  return additive_power_of_two_levels(bits);
}

}  // namespace

const MiniFloat& mini_float(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kMiniFloats), std::end(kMiniFloats), [&](auto& f) { return f.name == name; });
  assert(found != std::end(kMiniFloats));
  return found->format;
}

Levels mini_float_levels(const MiniFloat& format) {
  const int sign = 1 << (format.exponent_bits + format.mantissa_bits);
  std::vector<float> values;
  std::vector<std::int16_t> codes;
  for (int p = format.largest_pattern; p > 0; --p) {
    values.push_back(static_cast<float>(-magnitude(format, p)));
    codes.push_back(static_cast<std::int16_t>(sign | p));
  }
  for (int p = 0; p <= format.largest_pattern; ++p) {
    values.push_back(static_cast<float>(magnitude(format, p)));
    codes.push_back(static_cast<std::int16_t>(p));
  }
  return Levels::nearest(std::move(values), std::move(codes));
}

Levels integer_levels(int most, int fraction_bits) {
  std::vector<float> values;
  std::vector<std::int16_t> codes;
  for (int k = -most; k <= most; ++k) {
    values.push_back(static_cast<float>(std::ldexp(k, -fraction_bits)));
    codes.push_back(static_cast<std::int16_t>(k));
  }
  return Levels::nearest(std::move(values), std::move(codes));
}

Levels normal_float_levels() {
  std::vector<float> values{-1.0F,
                            -0.6961928009986877F,
                            -0.5250730514526367F,
                            -0.39491748809814453F,
                            -0.28444138169288635F,
                            -0.18477343022823334F,
                            -0.09105003625154495F,
                            0.0F,
                            0.07958029955625534F,
                            0.16093020141124725F,
                            0.24611230194568634F,
                            0.33791524171829224F,
                            0.44070982933044434F,
                            0.5626170039176941F,
                            0.7229568362236023F,
                            1.0F};
  std::vector<std::int16_t> codes;
  for (std::size_t i = 0; i < values.size(); ++i) codes.push_back(static_cast<std::int16_t>(i));
  return Levels::nearest(std::move(values), std::move(codes));
}

Levels bitsandbytes_fp4_levels() {
  const std::array<double, 8> by_pattern{0, 0.0625 / 12, 8.0 / 12, 1, 4.0 / 12, 6.0 / 12, 2.0 / 12, 3.0 / 12};
  constexpr std::array<std::int16_t, 8> kAscending{0, 1, 6, 7, 4, 5, 2, 3};
  std::vector<float> values;
  std::vector<std::int16_t> codes;
  for (std::size_t i = 7; i > 0; --i) {
    values.push_back(static_cast<float>(-by_pattern[static_cast<std::size_t>(kAscending[i])]));
    codes.push_back(static_cast<std::int16_t>(8 | kAscending[i]));
  }
  for (const auto pattern : kAscending) {
    values.push_back(static_cast<float>(by_pattern[static_cast<std::size_t>(pattern)]));
    codes.push_back(pattern);
  }
  return Levels::nearest(std::move(values), std::move(codes));
}

Levels power_of_two_levels(int bits) {
  std::vector<double> magnitudes{0};
  for (int i = (1 << (bits - 1)) - 2; i >= 0; --i) magnitudes.push_back(std::ldexp(1.0, -i));
  return mirrored(magnitudes);
}

Levels additive_power_of_two_levels(int bits) {
  std::set<double> sums{0};
  for (const auto& terms : additive_sets(bits)) {
    const std::set<double> before = sums;
    for (const int e : terms)
      for (const double sum : before) sums.insert(sum + std::ldexp(1.0, -e));
  }
  std::vector<double> magnitudes(sums.begin(), sums.end());
  for (double& m : magnitudes) m /= *sums.rbegin();
  return mirrored(magnitudes);
}

std::shared_ptr<const Levels> levels_of_format(std::string_view format) {
  static const auto kAll = [] {
    std::map<std::string, std::shared_ptr<const Levels>, std::less<>> all;
    for (const auto& entry : formats())
      if (entry.family == FormatFamily::scaled || entry.family == FormatFamily::block)
        all.emplace(entry.name, std::make_shared<const Levels>(make_levels(entry.name, entry.bits)));
    return all;
  }();
  const auto found = kAll.find(format);
  assert(found != kAll.end());
  return found->second;
}

}  // namespace bitplan
