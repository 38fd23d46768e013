#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/formats/weight_format.hpp"
#include "quant/ranges/value_range.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kExponentBits = 8, kShiftBits = 1, kPair = 2;

/// Shared micro-exponents: Rouhani et al. 2023, arXiv:2302.08007 (MX4, MX6, MX9; not the MX formats of OCP). A block of
/// 16 shares E = floor(log2 max |x|), a pair of elements a shift d = 1 when both lie below 2^E, else 0:
///
///   step = 2^(E - d) 2^(1 - m),   q = clamp(rint(x / step), -(2^m - 1), 2^m - 1),   m = code bits - 1
///
/// As AMD Quark's fake_quantize_mx6_mx9: subnormal float32 values are taken as 0.
class MicroexponentFormat final : public WeightFormat {
 public:
  std::int64_t run(std::int64_t) const override { return kPair; }
  void fit(const WeightRow& row, std::int64_t part, const Choice& choice, std::vector<Grid>& grids) const override {
    const int mantissa_bits = choice.bits - 1;
    const auto levels = std::make_shared<const Levels>(integer_levels((1 << mantissa_bits) - 1, 0));
    for_each_part(row, part, [&](std::span<const float> values, std::span<const float>) {
      const float most = absmax_of(values);
      const bool zero = most < std::numeric_limits<float>::min();
      const int exponent = zero ? 0 : std::ilogb(most);
      for (std::size_t i = 0; i < values.size(); i += kPair) {
        const auto pair = values.subspan(i, std::min<std::size_t>(kPair, values.size() - i));
        const int shift = !zero && absmax_of(pair) < std::ldexp(1.0F, exponent) ? 1 : 0;
        grids.push_back({levels, zero ? 0.0F : std::ldexp(1.0F, exponent - shift + 1 - mantissa_bits)});
      }
    });
  }
  std::int64_t overhead_bits(const RowShape& shape, const Choice&) const override {
    const auto pairs = [](std::int64_t n) { return (n + kPair - 1) / kPair; };
    if (shape.part == 0) return 0;
    const std::int64_t whole = shape.length / shape.part, rest = shape.length % shape.part;
    const std::int64_t shifts = whole * pairs(shape.part) + pairs(rest);
    return shape.parts() * kExponentBits + shape.rows * shifts * kShiftBits;
  }
};

}  // namespace

const WeightFormat& microexponent_format() {
  static const MicroexponentFormat format;
  return format;
}

}  // namespace bitplan
