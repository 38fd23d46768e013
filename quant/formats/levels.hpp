#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace bitplan {

/// The values that a format can represent, ascending, each with its code (bit pattern or signed index), and between
/// neighbours the bound that decides: the level of t is the number of bounds below t. Finding it costs O(log levels).
class Levels {
 public:
  /// Each value goes to the nearest level; at a midpoint to the even code.
  static Levels nearest(std::vector<float> values, std::vector<std::int16_t> codes);
  /// These levels with midpoints going away from 0.
  Levels away_from_zero() const;
  /// t > bounds[i] lies above level i; where at_bound_up, t == bounds[i] does too.
  Levels(std::vector<float> values, std::vector<std::int16_t> codes, std::span<const double> bounds,
         const std::vector<bool>& at_bound_up);

  std::size_t index(float t) const;
  std::span<const float> values() const { return values_; }
  std::span<const std::int16_t> codes() const { return codes_; }
  float largest() const { return values_.back(); }  ///< of magnitude, for symmetric levels

 private:
  std::vector<float> values_, bounds_;  // bounds: the largest float that still belongs to the lower level
  std::vector<std::int16_t> codes_;
};

/// What the values of a part are rounded to: x' = scale * level of x / scale. A scale of 0 makes all of them 0.
struct Grid {
  std::shared_ptr<const Levels> levels;
  float scale = 1;
  /// Added to x / scale by round(), by element of the run: drawn at random by formats that round so; else null.
  std::shared_ptr<const std::vector<float>> dither = nullptr;

  float value(float x) const { return scale == 0 ? 0.0F : value_at(levels->index(x / scale)); }
  /// The code of 0 when the scale is 0.
  std::int16_t code(float x) const { return levels->codes()[levels->index(scale == 0 ? 0.0F : x / scale)]; }
  /// scale * level; not beyond the finite floats, where the scale was rounded up.
  float value_at(std::size_t index) const {
    constexpr float kMost = std::numeric_limits<float>::max();
    return std::clamp(scale * levels->values()[index], -kMost, kMost);
  }
  /// Values in place, and their codes; of a run's values in order.
  void round(std::span<float> values, std::span<std::int16_t> codes) const;
};

/// A floating-point number of few bits: sign, exponent, mantissa; subnormals kept; IEEE bias 2^(e-1) - 1.
struct MiniFloat {
  int exponent_bits, mantissa_bits;
  int largest_pattern;  ///< of the largest finite value, without sign
};
/// By name: "fp8" (E4M3), "fp8:e5m2", "fp6" (E3M2), "fp6:e2m3", "fp4" (E2M1).
/// OCP 8-bit Floating Point Specification 1.0; OCP Microscaling Formats (MX) Specification 1.0, section 5.3.
const MiniFloat& mini_float(std::string_view name);

/// Bit patterns as codes; -0 is 0.
Levels mini_float_levels(const MiniFloat& format);
/// k / 2^fraction_bits, |k| <= most; codes k.
Levels integer_levels(int most, int fraction_bits);
/// The 16 quantiles of the normal distribution, scaled to [-1, 1] and with an exact 0: Dettmers et al. 2023,
/// arXiv:2305.14314, appendix E; codes 0 … 15.
Levels normal_float_levels();
/// bitsandbytes' FP4: 0 and +-1/192, 1/6, 1/4, 1/3, 1/2, 2/3, 1 with its patterns as codes; -0 is 0.
Levels bitsandbytes_fp4_levels();
/// 0 and +-2^-i, i = 0 … 2^(b-1) - 2: Li et al. 2020, arXiv:1909.13144, eq. 2; codes are signed indices.
Levels power_of_two_levels(int bits);
/// Sums of 2 or 3 powers of two as in the authors' build_power_value (same paper, eq. 4), largest 1; b = 3 … 7.
Levels additive_power_of_two_levels(int bits);

/// The levels of a format of the family `scaled` or `block`, made once.
std::shared_ptr<const Levels> levels_of_format(std::string_view format);

}  // namespace bitplan
