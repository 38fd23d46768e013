#include <limits>

#include "quant/formats/power_levels.hpp"
#include "quant/formats/weight_format.hpp"
#include "quant/ranges/range_search.hpp"
#include "quant/ranges/value_range.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kScaleBits = 32, kPowerBits = 8;

/// The exponent with the least squared error among those of power_levels.hpp, a part by itself.
class PowerFormat final : public WeightFormat {
 public:
  void fit(const WeightRow& row, std::int64_t part, const Choice& choice, std::vector<Grid>& grids) const override {
    for_each_part(row, part, [&](std::span<const float> values, std::span<const float>) {
      double least = std::numeric_limits<double>::infinity();
      Grid best;
      const float most = absmax_of(values);
      for (const double exponent : searched_exponents()) {
        const Grid grid{std::make_shared<const Levels>(power_levels(choice.bits, exponent, most)), 1};
        const double error = range_error(values, grid, {});
        if (error < least || !best.levels) least = error, best = grid;
      }
      grids.push_back(best);
    });
  }
  std::int64_t overhead_bits(const RowShape& shape, const Choice&) const override {
    return shape.parts() * (kScaleBits + kPowerBits);
  }
};

}  // namespace

const WeightFormat& power_format() {
  static const PowerFormat format;
  return format;
}

}  // namespace bitplan
