#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "quant/power_levels.hpp"
#include "quant/range_search.hpp"
#include "quant/value_range.hpp"
#include "quant/weight_format.hpp"

namespace bitplan {

Levels power_levels(int bits, double exponent, float absmax) {
  const int most = (1 << (bits - 1)) - 1;
  const double step = std::pow(static_cast<double>(absmax), exponent) / most;
  const auto expanded = [&](double q) { return std::copysign(std::pow(std::abs(q) * step, 1 / exponent), q); };
  std::vector<float> values;
  std::vector<std::int16_t> codes;
  std::vector<double> bounds;
  std::vector<bool> up;
  for (int q = -most; q <= most; ++q) {
    values.push_back(static_cast<float>(expanded(q)));
    codes.push_back(static_cast<std::int16_t>(q));
    if (q == most) break;
    bounds.push_back(expanded(q + 0.5));
    up.push_back((q + 1) % 2 == 0);
  }
  return {std::move(values), std::move(codes), bounds, up};
}

namespace {

constexpr std::int64_t kScaleBits = 32, kPowerBits = 8;

/// The exponent of .3, .35 … 1 with the least squared error; of equal ones the largest, which is nearest to uniform.
class PowerFormat final : public WeightFormat {
 public:
  void fit(const WeightRow& row, std::int64_t part, const Choice& choice, std::vector<Grid>& grids) const override {
    for_each_part(row, part, [&](std::span<const float> values, std::span<const float>) {
      double least = std::numeric_limits<double>::infinity();
      Grid best;
      for (int i = 20; i >= 6; --i) {
        const Grid grid{std::make_shared<const Levels>(power_levels(choice.bits, i / 20.0, absmax_of(values))), 1};
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
