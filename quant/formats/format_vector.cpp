#include <algorithm>
#include <cmath>

#include "quant/formats/weight_format.hpp"
#include "quant/ranges/value_range.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kCoarseBits = 32;

/// Per-vector scaled quantization: Dai et al. 2021, arXiv:2102.04503, eq. 7. Of vectors of a row (channel):
///
///   s = max |x| / (2^(b-1) - 1) of a vector,   g = max s / (2^M - 1) of the row,   v = clamp(rint(s / g), 0, 2^M - 1)
///   x' = g v q,   q = clamp(rint(x / (g v)), -(2^(b-1) - 1), 2^(b-1) - 1)
///
/// M scale bits (`+scale6`). x is divided by the scale that it is multiplied with (the paper leaves open whether s or
/// g v is meant): the error is never larger. v = 0 makes the vector 0.
class VectorFormat final : public WeightFormat {
 public:
  void fit(const WeightRow& row, std::int64_t part, const Choice& choice, std::vector<Grid>& grids) const override {
    const int most_code = (1 << (choice.bits - 1)) - 1, most_scale = (1 << choice.scale_bits) - 1;
    const auto levels = std::make_shared<const Levels>(integer_levels(most_code, 0));
    const double coarse = static_cast<double>(absmax_of(row.values)) / most_code / most_scale;
    for_each_part(row, part, [&](std::span<const float> values, std::span<const float>) {
      const double scale = static_cast<double>(absmax_of(values)) / most_code;
      const double integer = coarse > 0 ? std::clamp(std::nearbyint(scale / coarse), 0.0, 1.0 * most_scale) : 0;
      grids.push_back({levels, static_cast<float>(integer * coarse)});
    });
  }
  std::int64_t overhead_bits(const RowShape& shape, const Choice& choice) const override {
    return shape.parts() * choice.scale_bits + (shape.part == 0 ? 0 : shape.rows * kCoarseBits);
  }
};

}  // namespace

const WeightFormat& vector_format() {
  static const VectorFormat format;
  return format;
}

}  // namespace bitplan
