#include "quant/ranges/range_search.hpp"

#include <algorithm>
#include <cmath>

#include "quant/ranges/weight_range.hpp"
#include "quant/weight_quantizer.hpp"
#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

double inner(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

}  // namespace

TEST_CASE("lp with p = 2 is mse; a larger p clips less") {
  for (const auto kind : kDistributions) {
    const auto w = sample(kind, 500);
    CHECK(weight_quantizer(w, weight_choice("int4+lp2")) == weight_quantizer(w, weight_choice("int4+mse")));
    CHECK(weight_quantizer(w, weight_choice("int3+lp4")).scale >= weight_quantizer(w, weight_choice("int3+lp2")).scale);
  }
}

TEST_CASE("the error of a range: by hand") {
  const std::vector<float> w{1, 2.5F, -9}, importance{1, 2, 0.5F};
  const Affine q{1, 0, -8, 7};  // 1, 2, -8
  CHECK(range_error(w, q, {}) == Approx(0.25 + 1));
  CHECK(range_error(w, q, {1, {}}) == Approx(0.5 + 1));
  CHECK(range_error(w, q, {2, importance}) == Approx(2 * 0.25 + 0.5));
}

TEST_CASE("weighted mse keeps what its inputs make large, and is the best of its candidates") {
  const auto w = sample("heavy", 400);
  std::vector<float> importance(400, 1e-3F);
  for (std::size_t i = 0; i < 400; ++i)
    if (std::abs(w[i]) > 3) importance[i] = 10;
  const Affine plain = weight_quantizer(w, weight_choice("int3")),
               weighted = weight_quantizer(w, weight_choice("int3+wmse"), importance);
  CHECK(range_error(w, weighted, {2, importance}) < range_error(w, plain, {2, importance}));
  CHECK(weighted.scale > plain.scale);
  const std::vector<float> equal(400, 1);
  CHECK(weight_quantizer(w, weight_choice("int3+wmse"), equal) == plain);
}

TEST_CASE("affine grid: the best scale for the zero point of min w, then the best zero point for this scale") {
  for (const auto kind : kDistributions) {
    const auto w = sample(kind, 300);
    const float low = std::min(0.0F, *std::min_element(w.begin(), w.end())),
                high = *std::max_element(w.begin(), w.end());
    const Affine q = weight_quantizer(w, weight_choice("int3+affine+grid"));
    CHECK((q.q_min == 0 && q.q_max == 7 && q.zero_point >= 0 && q.zero_point <= 7));
    const auto error_of = [&](float scale, float lowest) {
      const float zero = std::clamp(std::nearbyint(-lowest / scale), 0.0F, 7.0F);
      return range_error(w, {scale, static_cast<std::int32_t>(zero), 0, 7}, {});
    };
    double least = error_of((high - low) / 7, low);
    float scale = (high - low) / 7;
    for (int k = 1; k < 20; ++k) {
      const float s = (high - low) * static_cast<float>(k) / 140;
      if (error_of(s, low) < least) least = error_of(s, low), scale = s;
    }
    CHECK(q.scale == Approx(scale));
    CHECK(range_error(w, q, {}) <= least * (1 + 1e-6));
    for (int k = 1; k <= 20; ++k)
      CHECK(range_error(w, q, {}) <= error_of(q.scale, low * static_cast<float>(k) / 20) * (1 + 1e-6));
  }
  const Affine huge = weight_quantizer(std::vector<float>{-3.3e38F, 1e38F, 3.3e38F}, weight_choice("int8+affine+grid"));
  CHECK(huge.scale == Approx(6.6e38 / 255).epsilon(0.06));
  const Affine zeros = weight_quantizer(std::vector<float>(5), weight_choice("int3+affine+grid"));
  CHECK((zeros.scale == 1 && zeros.zero_point == 0));
}

TEST_CASE("wmse needs an energy for each element of the reduction") {
  const auto w = sample("gauss", 12);
  const WeightView view = WeightView::of({3, 4}, 0);
  const Choice choice = weight_choice("int4+wmse");
  CHECK_THROWS_WITH(quantize_weight(w, view, choice), "range wmse needs the energy of the layer's input");
  CHECK_THROWS_WITH(quantize_weight(w, view, choice, std::vector<float>(3)),
                    "the input has 3 energies, the weight's reduction 4 elements");
  CHECK_THROWS_WITH(quantize_weight(w, view, choice, std::vector<float>{1, -1, 1, 1}),
                    "an energy of the input is negative");
  const std::vector<float> energies{1, 2, 3, 4};
  CHECK(quantize_weight(w, view, choice, energies).values.size() == 12);
  CHECK(quantize_weight(w, view, weight_choice("int4:g2+wmse"), energies).scales.size() == 6);
  CHECK(quantize_weight(w, view, weight_choice("codebook2:tensor+wmse"), energies).code_book.size() == 4);
  CHECK(quantize_weight(w, WeightView::of({4, 3}, 1), weight_choice("nf4+wmse"), energies).scales.size() == 3);
}

TEST_CASE("a whole tensor repeats the energies for each channel") {
  // [2, 2] along axis 1: columns are channels, so the first row has energy 0.
  const std::vector<float> w{1, 10, 1, 2}, energies{0, 1}, by_element{0, 0, 1, 1};
  const Choice choice = weight_choice("int4:tensor+wmse");
  const auto out = quantize_weight(w, WeightView::of({2, 2}, 1), choice, energies);
  CHECK(out.scales[0] == weight_quantizer(w, choice, by_element).scale);
  CHECK(out.scales[0] < 0.6F);
}

TEST_CASE("OCTAV's clipping point is a fixed point, at least as good as no clipping") {
  for (const auto kind : {"gauss", "heavy"})
    for (const int bits : {3, 4, 8}) {
      const auto w = sample(kind, 5000);
      const double s = octav_clip(w, bits), k = std::pow(4.0, -bits) / 3;
      double sum = 0, beyond = 0;
      for (const float x : w)
        if (std::abs(x) >= s) sum += std::abs(static_cast<double>(x)), ++beyond;
      CHECK(s == Approx(sum / (beyond * (1 - k) + k * 5000)));
      const std::string format = "int" + std::to_string(bits);
      CHECK(range_error(w, weight_quantizer(w, weight_choice(format + "+octav")), {}) <=
            range_error(w, weight_quantizer(w, weight_choice(format + "+absmax")), {}) * (1 + 1e-3));
    }
  CHECK(octav_clip(std::vector<float>(5), 4) == 0);
  CHECK(octav_clip(std::vector<float>{}, 4) == 0);
}

TEST_CASE("gain makes <w', w> equal <w, w> for each part") {
  const auto w = sample("gauss", 96);
  for (const std::string format : {"int3+absmax", "int2+affine", "fp4", "binary", "ternary", "ttq", "nf4", "pot3"}) {
    const auto plain = quantize_weight(w, WeightView::of({1, 96}, 0), weight_choice(format + ":channel"));
    const auto gained = quantize_weight(w, WeightView::of({1, 96}, 0), weight_choice(format + ":channel+gain"));
    INFO(format);
    CHECK(inner(gained.values, w) == Approx(inner(w, w)).epsilon(1e-5));
    CHECK(gained.codes == plain.codes);
    CHECK(gained.scales[0] == Approx(plain.scales[0] * inner(w, w) / inner(plain.values, w)).epsilon(1e-5));
  }
}

TEST_CASE("the clip ratios of small floats: the best by brute force") {
  const auto w = sample("heavy", 300);
  const auto levels = levels_of_format("fp4");
  float most = 0;
  for (const float x : w) most = std::max(most, std::abs(x));
  const Grid best = search_grid(levels, w, {}, weight_choice("fp4+mse"));
  for (int i = 0; i < 100; ++i) {
    const Grid grid{levels, static_cast<float>(most * (1 - 0.7 * i / 99) / 6)};
    CHECK(range_error(w, best, {}) <= range_error(w, grid, {}) * (1 + 1e-9));
  }
  CHECK(search_grid(levels, w, {}, weight_choice("fp4+grid")).scale <= most / 6);
}
