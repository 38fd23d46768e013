#include "quant/math/affine.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> quantized(const Affine& q, std::vector<float> x) {
  fake_quantize_ref(q, x, x);
  return x;
}

/// 10007 values: ordinary ones, ties, ends of the range, both zeros, denormals, infinities, NaN of both signs.
std::vector<float> hard_values(const Affine& q) {
  std::vector<float> x = sample("gauss", 9001);
  for (float& value : x) value *= q.scale * 100;
  const float tiny = std::numeric_limits<float>::denorm_min(), huge = std::numeric_limits<float>::max();
  for (const float value : {0.0F, 1e-40F, tiny, 1e-30F, 1e8F, 3e30F, huge, kInf, kNan, 8388607.5F, 16777217.0F, 2e7F})
    x.insert(x.end(), {value, -value, value * q.scale, -value * q.scale});
  for (int k = -280; x.size() < 10007; ++k)
    for (const float tie : {static_cast<float>(k), static_cast<float>(k) + 0.5F})
      for (const float value :
           {tie * q.scale, std::nextafter(tie * q.scale, kInf), std::nextafter(tie * q.scale, -kInf)})
        if (x.size() < 10007) x.push_back(value);
  return x;
}

}  // namespace

TEST_CASE("fake_quantize rounds to the nearest step, half to even, and clips") {
  const Affine q{.scale = 0.5F, .zero_point = 0, .q_min = -2, .q_max = 1};
  CHECK(quantized(q, {0, 0.2F, 0.25F, 0.26F, 0.75F, 9}) == std::vector<float>{0, 0, 0, 0.5F, 0.5F, 0.5F});
  CHECK(quantized(q, {-0.25F, -0.75F, -0.76F, -1.25F, -9}) == std::vector<float>{0, -1, -1, -1, -1});
}

TEST_CASE("fake_quantize with a zero point keeps 0 and clips at both ends of the shifted range") {
  const Affine q{.scale = 1, .zero_point = 3, .q_min = 0, .q_max = 15};
  CHECK(quantized(q, {-9, -3, -1.5F, 0, 2.5F, 12, 13}) == std::vector<float>{-3, -3, -2, 0, 2, 12, 12});
}

TEST_CASE("fake_quantize keeps NaN, clips infinities and never gives -0") {
  const Affine q{.scale = 1, .zero_point = 0, .q_min = -8, .q_max = 7};
  const auto out = quantized(q, {kNan, kInf, -kInf, -0.0F, -0.3F});
  CHECK(std::isnan(out[0]));
  CHECK(out[1] == 7);
  CHECK(out[2] == -8);
  CHECK_FALSE(std::signbit(out[3]));
  CHECK_FALSE(std::signbit(out[4]));
}

TEST_CASE("fake_quantize equals its reference bit for bit on each instruction set, in place or not") {
  const float least = std::numeric_limits<float>::min();
  for (const float scale : {1.0F, 0.1F, 0.0123F, 3e-5F, least, 1e-30F, 1e30F, 2e38F})
    for (int bits = 2; bits <= 8; ++bits) {
      const std::int32_t half = 1 << (bits - 1);
      for (const Affine q :
           {Affine{scale, 0, -half, half - 1}, Affine{scale, 0, 1 - half, half - 1}, Affine{scale, 0, 0, 2 * half - 1},
            Affine{scale, half - 1, 0, 2 * half - 1}, Affine{scale, 2 * half - 1, 0, 2 * half - 1}}) {
        const std::vector<float> x = hard_values(q);
        std::vector<float> reference(x.size()), fast(x.size());
        fake_quantize_ref(q, x, reference);
        for (const Isa isa : usable_isas()) {
          fake_quantize_on(isa, q, x, fast);
          REQUIRE(same_bits(fast, reference));
          fast = x;
          fake_quantize_on(isa, q, fast, fast);
          REQUIRE(same_bits(fast, reference));
        }
        fake_quantize(q, x, fast);
        REQUIRE(same_bits(fast, reference));
      }
    }
}

TEST_CASE("fake_quantize equals its reference for each length and alignment") {
  const Affine q = affine_from_range(-1, 3, 4, false, false);
  const std::vector<float> x = sample("shifted", 100);
  for (std::size_t begin = 0; begin < 20; ++begin)
    for (std::size_t n = 0; begin + n <= x.size(); ++n) {
      std::vector<float> reference(n), fast(n);
      fake_quantize_ref(q, std::span(x).subspan(begin, n), reference);
      fake_quantize(q, std::span(x).subspan(begin, n), fast);
      REQUIRE(same_bits(fast, reference));
    }
}

TEST_CASE("the affine quantizer of a range has 2^b levels from the low to the high end") {
  CHECK(affine_from_range(-1, 2, 2, false, false) == Affine{1, 1, 0, 3});
  CHECK(affine_from_range(0, 6, 4, false, false) == Affine{0.4F, 0, 0, 15});
  CHECK(affine_from_range(-51, 204, 8, false, false) == Affine{1, 51, 0, 255});
}

TEST_CASE("a range is widened to contain 0") {
  CHECK(affine_from_range(3, 6, 4, false, false) == affine_from_range(0, 6, 4, false, false));
  CHECK(affine_from_range(-6, -3, 4, false, false) == Affine{0.4F, 15, 0, 15});
}

TEST_CASE("the symmetric quantizer of a range has its larger end at the highest code; narrow drops the lowest code") {
  CHECK(affine_from_range(-7, 3, 4, true, false) == Affine{1, 0, -8, 7});
  CHECK(affine_from_range(-7, 3, 4, true, true) == Affine{1, 0, -7, 7});
  CHECK(affine_from_range(0, 254, 8, true, false) == Affine{2, 0, -128, 127});
  CHECK(affine_from_range(-1, 1, 2, true, true) == Affine{1, 0, -1, 1});
}

TEST_CASE("a zero range has scale 1") {
  CHECK(affine_from_range(0, 0, 8, false, false) == Affine{1, 0, 0, 255});
  CHECK(affine_from_range(0, 0, 3, true, false) == Affine{1, 0, -4, 3});
}

TEST_CASE("scales of the smallest and the largest ranges have finite inverses") {
  constexpr float kMax = std::numeric_limits<float>::max();
  for (const float most : {std::numeric_limits<float>::denorm_min(), 1e-40F, 1e-38F, kMax})
    for (int bits = 2; bits <= 8; ++bits)
      for (const bool symmetric : {false, true}) {
        const Affine q = affine_from_range(-most, most, bits, symmetric, false);
        CHECK((std::isfinite(q.scale) && std::isfinite(1 / q.scale) && 1 / q.scale > 0));
        CHECK((q.zero_point >= q.q_min && q.zero_point <= q.q_max));
      }
}

TEST_CASE("the ends of the largest ranges stay finite") {
  constexpr float kMax = std::numeric_limits<float>::max();
  const auto values_are_finite = [](const Affine& q, std::vector<float> ends) {
    fake_quantize_ref(q, ends, ends);
    return std::all_of(ends.begin(), ends.end(), [](float v) { return std::isfinite(v); });
  };
  for (int bits = 1; bits <= 16; ++bits)
    for (const float low : {-kMax, -0.5F * kMax, -1.0F, 0.0F}) {
      CHECK(values_are_finite(affine_from_range(low, kMax, bits, false, false), {low, kMax}));
      CHECK(values_are_finite(affine_from_range(-kMax, -low, bits, false, false), {-kMax, -low}));
      if (bits > 1) CHECK(values_are_finite(affine_from_range(low, kMax, bits, true, false), {low, kMax}));
    }
}

TEST_CASE("0 and values inside the range are kept to half a step for all bits and ranges") {
  for (int bits = 2; bits <= 8; ++bits)
    for (const float low : {-3.0F, -0.01F, 0.0F})
      for (const float high : {0.0F, 0.2F, 5.0F}) {
        const Affine q = affine_from_range(low, high, bits, false, false);
        std::vector<float> x{0, low, high, low / 3, high / 3};
        const auto out = quantized(q, x);
        CHECK(out[0] == 0);
        for (std::size_t i = 0; i < x.size(); ++i) CHECK(std::abs(out[i] - x[i]) <= q.scale * 1.0001F);
      }
}

TEST_CASE("quantize_codes gives the levels of fake_quantize as bytes, on each instruction set, and finds NaN") {
  for (const Affine q :
       {Affine{0.037F, 0, -128, 127}, Affine{0.037F, 91, 0, 255}, Affine{1.5F, 3, 0, 15}, Affine{1e-3F, 0, -4, 3}}) {
    auto x = hard_values(q);
    std::erase_if(x, [](float v) { return std::isnan(v); });
    std::vector<std::uint8_t> expected(x.size()), codes(x.size());
    std::vector<float> values(x.size());
    quantize_codes_ref(q, x, expected);
    fake_quantize_ref(q, x, values);
    for (std::size_t i = 0; i < x.size(); ++i)
      CHECK(values[i] == q.scale * static_cast<float>(expected[i] + q.q_min - q.zero_point));
    for (const Isa isa : usable_isas()) {
      CHECK(quantize_codes_on(isa, q, x, codes));
      CHECK(codes == expected);
      x[x.size() / 2] = kNan;
      CHECK_FALSE(quantize_codes_on(isa, q, x, codes));
      x[x.size() / 2] = 0;
      expected[x.size() / 2] = static_cast<std::uint8_t>(q.zero_point - q.q_min);
    }
  }
}
