#include "quant/ranges/weight_range.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

double squared_error(const Affine& q, const std::vector<float>& x) {
  std::vector<float> out(x.size());
  fake_quantize_ref(q, x, out);
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = static_cast<double>(out[i]) - x[i];
    sum += error * error;
  }
  return sum;
}

std::vector<Choice> all_mse_choices() {
  std::vector<Choice> choices;
  for (const auto& format : formats())
    for (const auto* modifier : {"", "+affine", "+narrow"})
      if (is_plain_integer(format)) choices.push_back(weight_choice(std::string(format.name) + modifier));
  return choices;
}

}  // namespace

TEST_CASE("absmax of a part puts the largest magnitude at the highest code") {
  CHECK(weight_quantizer(std::vector<float>{-14, 3, 7}, weight_choice("int4+absmax")) == Affine{2, 0, -8, 7});
  CHECK(weight_quantizer(std::vector<float>{-14, 3, 7}, weight_choice("int4+absmax+narrow")) == Affine{2, 0, -7, 7});
  CHECK(weight_quantizer(std::vector<float>{-15, 3}, weight_choice("int4+absmax+affine")) == Affine{2, 8, 0, 15});
}

TEST_CASE("minmax of a part has its smallest value at code 0 and its largest at the highest code") {
  CHECK(weight_quantizer(std::vector<float>{-10, 3, 5}, weight_choice("int4+minmax+affine")) == Affine{1, 10, 0, 15});
  CHECK(weight_quantizer(std::vector<float>{-14, 3, 5}, weight_choice("int4+minmax")) == Affine{2, 0, -8, 7});
}

TEST_CASE("percentile leaves the given per cent inside, both tails cut alike") {
  std::vector<float> values;
  for (int i = -49; i <= 50; ++i) values.push_back(static_cast<float>(i));  // 100 values
  // 90 inside, 5 below, 5 above: -44 … 45.
  CHECK(weight_quantizer(values, weight_choice("int8+percentile90+affine")) ==
        affine_from_range(-44, 45, 8, false, false));
  // 95 inside, 2 below, 3 above.
  CHECK(weight_quantizer(values, weight_choice("int8+percentile95+affine")) ==
        affine_from_range(-47, 47, 8, false, false));
  // Magnitudes 0, 1, 1, … 49, 49, 50: the 90th is 45.
  CHECK(weight_quantizer(values, weight_choice("int8+percentile90")) == affine_from_range(-45, 45, 8, true, false));
  CHECK(weight_quantizer(values, weight_choice("int8+percentile100")) == affine_from_range(-50, 50, 8, true, false));
}

TEST_CASE("mse takes the clip ratio of least error: by hand for 2 bits") {
  // Codes -2 … 1. Unclipped, s = 1, there is no error.
  CHECK(weight_quantizer(std::vector<float>{-1, 1, 0}, weight_choice("int2")).scale == 1);
  // -1 and twenty 0.5: with s = 0.5 (code -2 is -1) there is no error at all; the ratio nearest to 0.5 is 1 - 0.7 * 71
  // / 99.
  std::vector<float> values(21, 0.5F);
  values[3] = -1;
  const Affine q = weight_quantizer(values, weight_choice("int2"));
  CHECK(q.scale == static_cast<float>(1 - 0.7 * 71 / 99));
  CHECK(q.q_min == -2);
}

TEST_CASE("mse is at least as good as each of its ratios, taken one by one") {
  for (const auto kind : kDistributions) {
    const std::vector<float> values = sample(kind, 333);
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    for (const Choice& choice : all_mse_choices()) {
      const double best = squared_error(weight_quantizer(values, choice), values);
      for (int i = 0; i < 100; ++i) {
        const double ratio = 0.3 + 0.7 * i / 99;
        const Affine q = affine_from_range(static_cast<float>(*low * ratio), static_cast<float>(*high * ratio),
                                           choice.bits, choice.symmetric, choice.narrow);
        REQUIRE(best <= squared_error(q, values) * (1 + 1e-6));  // 0.3 + … and 1 - … differ in the last bit
      }
    }
  }
}

TEST_CASE("the fast mse search finds the reference's quantizer on each instruction set") {
  const auto choices = all_mse_choices();
  for (const auto kind : kDistributions)
    for (const std::size_t n : {1, 2, 3, 9, 15, 16, 17, 27, 63, 64, 65, 147, 512, 513, 1152, 4608})
      for (std::uint64_t seed = 1; seed <= (n < 600 ? 5 : 1); ++seed) {
        const std::vector<float> values = sample(kind, n, seed * 1000 + n);
        for (const Choice& choice : choices) {
          const Affine reference = mse_weight_quantizer_ref(values, choice);
          for (const Isa isa : usable_isas()) REQUIRE(mse_weight_quantizer_on(isa, values, choice) == reference);
        }
      }
}

TEST_CASE("the fast mse search finds the reference's quantizer on values with many ties and of any magnitude") {
  const auto choices = all_mse_choices();
  for (const float unit : {1.0F, 1e-44F, 1e-36F, 1e-20F, 3e-15F, 1e-3F, 1e14F, 1e20F, 1e36F}) {
    std::vector<float> integers, equal(50, 3 * unit), signs(40, unit), outlier(100, unit);
    for (int i = -7; i <= 7; ++i) integers.push_back(static_cast<float>(i) * unit);
    for (std::size_t i = 0; i < signs.size(); i += 2) signs[i] = -unit;
    outlier[7] = -90 * unit;
    for (const auto& values : {integers, equal, signs, outlier})
      for (const Choice& choice : choices) {
        const Affine reference = mse_weight_quantizer_ref(values, choice);
        for (const Isa isa : usable_isas()) REQUIRE(mse_weight_quantizer_on(isa, values, choice) == reference);
      }
  }
}

TEST_CASE("a part of zeros, and an empty one, has scale 1 with each range method") {
  for (const auto& entry : range_methods())
    for (const auto* modifier : {"", "+affine"}) {
      if (*modifier != 0 && !is_plain_range(entry)) continue;
      const Choice choice = weight_choice("int4" + std::string(modifier) + "+" + std::string(entry.name));
      for (const std::size_t n : {0, 1, 5, 100}) {
        const Affine q = weight_quantizer(std::vector<float>(n), choice);
        CHECK(q.scale == 1);
        CHECK(q.zero_point == 0);
      }
    }
}

TEST_CASE("a constant part is kept to the last bits with each range method, symmetry and width") {
  for (const auto& entry : range_methods())
    for (int bits = 2; bits <= 8; ++bits)
      for (const auto* modifier : {"", "+affine", "+narrow"})
        for (const float value : {0.3F, -0.3F}) {
          const std::string label = "int" + std::to_string(bits) + modifier;
          if (!is_plain_range(entry)) continue;
          if (std::string(modifier) == "+affine" && entry.name == "absmax")
            continue;  // 0.3 lies between codes of [-0.3, 0.3]
          std::vector<float> values(20, value);
          const Affine q = weight_quantizer(values, weight_choice(label + "+" + std::string(entry.name)));
          fake_quantize(q, values, values);
          for (const float out : values) CHECK(out == Approx(value).epsilon(2e-7));
        }
}

TEST_CASE("weights at the ends of float32 stay finite with each range method") {
  constexpr float kMax = std::numeric_limits<float>::max();
  for (const auto& entry : range_methods())
    for (const auto* format : {"int2", "int4", "int8", "int4+affine"}) {
      using enum RangeMethod;
      if (entry.method == wmse || entry.method == output) continue;
      if (std::string(format) == "int4+affine" && !is_plain_range(entry)) continue;
      std::vector<float> values{-kMax, kMax, -0.9F * kMax, 0.1F * kMax, 0};
      const Affine q = weight_quantizer(values, weight_choice(std::string(format) + "+" + std::string(entry.name)));
      fake_quantize(q, values, values);
      INFO(format << "+" << entry.name);
      CHECK(std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }));
    }
}

TEST_CASE("halfstep, noclip and powers of two: scales by hand") {
  const std::vector<float> values{-16, 3, 7.5F};
  CHECK(weight_quantizer(values, weight_choice("int4+halfstep")) == Affine{16 / 7.5F, 0, -8, 7});
  CHECK(weight_quantizer(values, weight_choice("int4+halfstep+narrow")) == Affine{16 / 7.0F, 0, -7, 7});
  CHECK(weight_quantizer(values, weight_choice("int4+noclip")) == Affine{2, 0, -8, 7});
  CHECK(weight_quantizer({{-8, 14}}, weight_choice("int4+noclip")) == Affine{2, 0, -8, 7});
  CHECK(weight_quantizer(values, weight_choice("int4+pow2")) == Affine{2, 0, -8, 7});      // log2(16 / 7.5) = 1.09
  CHECK(weight_quantizer({{-12, 1}}, weight_choice("int4+pow2")) == Affine{2, 0, -8, 7});  // log2(1.6) = 0.68
  // With s = 1/4 there is no error but that of the clipped 16: 2 is as good as it gets for that.
  CHECK(weight_quantizer({{-16, 2, 4}}, weight_choice("int4+pow2_mse")) == Affine{2, 0, -8, 7});
  CHECK(weight_quantizer({{7, -1, 3}}, weight_choice("int4+pow2_mse")) == Affine{1, 0, -8, 7});
}

TEST_CASE("the zero point's tie goes the way of a division in float32") {
  // 127 / (254 / 255) is 127.5 in float32, a little less in double.
  CHECK(affine_from_range(-127, 127, 8, false, false).zero_point == 128);
}
