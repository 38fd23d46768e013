#include <cmath>

#include "core/hash.hpp"
#include "core/rng.hpp"
#include "quant/formats/weight_format.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kScaleBits = 32;

struct Sum {
  double total = 0;
  std::int64_t count = 0;
  void add(double value) { total += value, ++count; }
  double mean() const { return count == 0 ? 0 : total / static_cast<double>(count); }
};

Sum magnitudes(std::span<const float> values) {
  Sum sum;
  for (const float value : values) sum.add(std::abs(static_cast<double>(value)));
  return sum;
}

std::shared_ptr<const Levels> sign_levels() {
  constexpr double kZero = 0;
  static const auto kSigns =
      std::make_shared<const Levels>(Levels({-1, 1}, {0, 1}, std::span(&kZero, 1), std::vector<bool>{true}));
  return kSigns;
}

/// Binary weights: Rastegari et al. 2016, arXiv:1603.05279, eq. 6: x' = a sign(x), a = mean |x|; sign(0) = 1.
class BinaryFormat final : public WeightFormat {
 public:
  void fit(const WeightRow& row, std::int64_t part, const Choice&, std::vector<Grid>& grids) const override {
    for_each_part(row, part, [&](std::span<const float> values, std::span<const float>) {
      grids.push_back({sign_levels(), static_cast<float>(magnitudes(values).mean())});
    });
  }
  std::int64_t overhead_bits(const RowShape& shape, const Choice&) const override { return shape.parts() * kScaleBits; }
};

/// Stochastic binarisation: Courbariaux et al. 2015 (BinaryConnect), arXiv:1511.00363, eq. 2, with weights in units of
/// a = mean |x|:
///
///   x' = a with probability h(x / a), else -a;   h(t) = clamp((t + 1) / 2, 0, 1)
///
/// so that the expected value of x' is x clamped to [-a, a]. Drawn as the sign of x / a + u, u uniform in [-1, 1), from
/// the stream (0, "binarise", hash of the part's values): one draw for one weight, whatever rows or ranks there are.
class StochasticBinaryFormat final : public WeightFormat {
 public:
  void fit(const WeightRow& row, std::int64_t part, const Choice&, std::vector<Grid>& grids) const override {
    for_each_part(row, part, [&](std::span<const float> values, std::span<const float>) {
      Rng rng(0, "binarise", hash64(std::as_bytes(values)));
      auto dither = std::make_shared<std::vector<float>>();
      for (std::size_t i = 0; i < values.size(); ++i) dither->push_back(static_cast<float>(2 * rng.unit() - 1));
      grids.push_back({sign_levels(), static_cast<float>(magnitudes(values).mean()), std::move(dither)});
    });
  }
  std::int64_t overhead_bits(const RowShape& shape, const Choice&) const override { return shape.parts() * kScaleBits; }
};

/// low, 0 and high with codes -1, 0, 1; 0 for |x| <= threshold.
std::shared_ptr<const Levels> ternary_levels(double low, double high, double threshold) {
  const double bounds[] = {-threshold, threshold};
  return std::make_shared<const Levels>(
      Levels({static_cast<float>(low), 0, static_cast<float>(high)}, {-1, 0, 1}, bounds, {true, false}));
}

/// Ternary weights: Li et al. 2016, arXiv:1605.04711, eq. 6: x' = a sign(x) where |x| > D, else 0;
/// D = 0.7 mean |x|, a = mean of |x| over those.
class TernaryFormat final : public WeightFormat {
 public:
  void fit(const WeightRow& row, std::int64_t part, const Choice&, std::vector<Grid>& grids) const override {
    for_each_part(row, part, [&](std::span<const float> values, std::span<const float>) {
      const double threshold = 0.7 * magnitudes(values).mean();
      Sum beyond;
      for (const float value : values)
        if (std::abs(value) > threshold) beyond.add(std::abs(static_cast<double>(value)));
      grids.push_back({ternary_levels(-beyond.mean(), beyond.mean(), threshold), 1});
    });
  }
  std::int64_t overhead_bits(const RowShape& shape, const Choice&) const override { return shape.parts() * kScaleBits; }
};

/// Two scales: Zhu et al. 2017, arXiv:1612.01064, eq. 9: D = 0.05 max |x|; p = mean of x > D, n = mean of -x for x <
/// -D, which is the least-squares start of what the paper goes on to train.
class TernaryTwoFormat final : public WeightFormat {
 public:
  void fit(const WeightRow& row, std::int64_t part, const Choice&, std::vector<Grid>& grids) const override {
    for_each_part(row, part, [&](std::span<const float> values, std::span<const float>) {
      double most = 0;
      for (const float value : values) most = std::max(most, std::abs(static_cast<double>(value)));
      const double threshold = 0.05 * most;
      Sum positive, negative;
      for (const float value : values)
        if (std::abs(value) > threshold) (value > 0 ? positive : negative).add(value);
      grids.push_back({ternary_levels(negative.mean(), positive.mean(), threshold), 1});
    });
  }
  std::int64_t overhead_bits(const RowShape& shape, const Choice&) const override {
    return shape.parts() * 2 * kScaleBits;
  }
};

}  // namespace

const WeightFormat& binary_format() {
  static const BinaryFormat format;
  return format;
}
const WeightFormat& binary_stochastic_format() {
  static const StochasticBinaryFormat format;
  return format;
}
const WeightFormat& ternary_format() {
  static const TernaryFormat format;
  return format;
}
const WeightFormat& ternary_two_format() {
  static const TernaryTwoFormat format;
  return format;
}

}  // namespace bitplan
