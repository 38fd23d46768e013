#include <algorithm>
#include <cmath>

#include "quant/formats/weight_format.hpp"
#include "quant/ranges/range_search.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kScaleBits = 32;

/// x' = s L, s = a / (largest level), a = max |x| of the part or a smaller value that the range method finds.
class ScaledFormat final : public WeightFormat {
 public:
  void fit(const WeightRow& row, std::int64_t part, const Choice& choice, std::vector<Grid>& grids) const override {
    const auto levels = levels_of_format(choice.format);
    for_each_part(row, part, [&](std::span<const float> values, std::span<const float> importance) {
      grids.push_back(search_grid(levels, values, importance, choice));
    });
  }
  std::int64_t overhead_bits(const RowShape& shape, const Choice&) const override { return shape.parts() * kScaleBits; }
};

}  // namespace

const WeightFormat& scaled_format() {
  static const ScaledFormat format;
  return format;
}

}  // namespace bitplan
