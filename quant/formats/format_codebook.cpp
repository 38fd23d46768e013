#include "quant/formats/kmeans.hpp"
#include "quant/formats/weight_format.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kEntryBits = 32;

/// 2^b values of the part itself: Han et al. 2016, arXiv:1510.00149. k-means from equally spaced, k-means++ and
/// (nearly) optimal centres, the best of the three; weighted with the importance when the range is wmse.
class CodebookFormat final : public WeightFormat {
 public:
  void fit(const WeightRow& row, std::int64_t part, const Choice& choice, std::vector<Grid>& grids) const override {
    const int k = 1 << choice.bits;
    for_each_part(row, part, [&](std::span<const float> values, std::span<const float> importance) {
      if (choice.range != RangeMethod::wmse) importance = {};
      const KMeans best = k_means(values, importance, k, KMeansStart::better);
      std::vector<std::int16_t> codes;
      for (int i = 0; i < k; ++i) codes.push_back(static_cast<std::int16_t>(i));
      std::vector<float> centres(best.centres.begin(), best.centres.end());
      grids.push_back({std::make_shared<const Levels>(Levels::nearest(std::move(centres), std::move(codes))), 1});
    });
  }
  std::int64_t overhead_bits(const RowShape& shape, const Choice& choice) const override {
    return shape.parts() * (std::int64_t{1} << choice.bits) * kEntryBits;
  }
};

}  // namespace

const WeightFormat& codebook_format() {
  static const CodebookFormat format;
  return format;
}

}  // namespace bitplan
