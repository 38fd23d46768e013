#include <algorithm>
#include <cmath>

#include "quant/formats/weight_format.hpp"
#include "quant/ranges/value_range.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kExponentBits = 8;  // E8M0: 2^-127 … 2^127

/// OCP Microscaling Formats (MX) Specification 1.0, section 6.3: the shared exponent is floor(log2 max |x|) minus the
/// exponent of the largest element, so that values between the largest element and the next power of two saturate.
/// Blocks of 32 along the reduction. As microxcaling's _quantize_mx with round "even"; the formats
/// …:away are its default, round "nearest", in which ties go away from 0.
class BlockFormat final : public WeightFormat {
 public:
  void fit(const WeightRow& row, std::int64_t part, const Choice& choice, std::vector<Grid>& grids) const override {
    const auto levels = levels_of_format(choice.format);
    const int element_exponent = std::ilogb(levels->largest());
    for_each_part(row, part, [&](std::span<const float> values, std::span<const float>) {
      const float most = absmax_of(values);
      const int exponent = most > 0 ? std::clamp(std::ilogb(most) - element_exponent, -127, 127) : -127;
      grids.push_back({levels, std::ldexp(1.0F, exponent)});
    });
  }
  std::int64_t overhead_bits(const RowShape& shape, const Choice&) const override {
    return shape.parts() * kExponentBits;
  }
};

}  // namespace

const WeightFormat& block_format() {
  static const BlockFormat format;
  return format;
}

}  // namespace bitplan
