#include <cmath>

#include "quant/formats/weight_format.hpp"
#include "quant/ranges/value_range.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kExponentBits = 8;

/// -1 … -2^-(n-1), 0, 2^-(n-1) … 1 with codes -n … n: code q stands for 2^(|q| - n). In the logarithm the bound between
/// neighbours is the geometric mean, that to 0 half a step below the smallest power.
Levels logarithmic_levels(int n) {
  std::vector<float> values;
  std::vector<std::int16_t> codes;
  std::vector<double> bounds;
  std::vector<bool> up;
  for (int q = -n; q <= n; ++q) {
    values.push_back(q == 0 ? 0.0F : std::copysign(std::ldexp(1.0F, std::abs(q) - n), static_cast<float>(q)));
    codes.push_back(static_cast<std::int16_t>(q));
    if (q == n) break;
    const int outer = q < 0 ? -q : q + 1;  // the code of larger magnitude beside this bound
    bounds.push_back((q < 0 ? -1 : 1) * std::exp2(outer - n - 0.5));
    up.push_back(q >= 0);
  }
  return {std::move(values), std::move(codes), bounds, up};
}

/// Powers of two rounded in the logarithm: Miyashita et al. 2016, arXiv:1603.01025, eq. 3. With n = 2^(b-1) - 1:
///
///   E = rint(log2 max |x|),   l = rint(log2 |x|) at most E,   x' = sign(x) 2^l, or 0 when l < E - n + 1
class LogarithmicFormat final : public WeightFormat {
 public:
  void fit(const WeightRow& row, std::int64_t part, const Choice& choice, std::vector<Grid>& grids) const override {
    const auto levels = std::make_shared<const Levels>(logarithmic_levels((1 << (choice.bits - 1)) - 1));
    for_each_part(row, part, [&](std::span<const float> values, std::span<const float>) {
      const double most = absmax_of(values);
      const double exponent = most > 0 ? std::nearbyint(std::log2(most)) : 0;
      grids.push_back({levels, most > 0 ? static_cast<float>(std::exp2(std::min(exponent, 127.0))) : 0.0F});
    });
  }
  std::int64_t overhead_bits(const RowShape& shape, const Choice&) const override {
    return shape.parts() * kExponentBits;
  }
};

}  // namespace

const WeightFormat& logarithmic_format() {
  static const LogarithmicFormat format;
  return format;
}

}  // namespace bitplan
