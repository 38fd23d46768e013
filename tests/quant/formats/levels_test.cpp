#include "quant/formats/levels.hpp"

#include <cmath>
#include <limits>

#include "quant/formats/number_format.hpp"
#include "quant/formats/power_levels.hpp"
#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

std::vector<float> positive(const Levels& levels) {
  std::vector<float> out;
  for (const float value : levels.values())
    if (value >= 0) out.push_back(value);
  return out;
}

/// By looking at every level: the nearest, of two equally near ones the one with the even code or, `away`, the larger.
std::int16_t nearest_code(const Levels& levels, double t, bool away) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < levels.values().size(); ++i) {
    const double distance = std::abs(levels.values()[i] - t), least = std::abs(levels.values()[best] - t);
    const bool wins =
        away ? std::abs(levels.values()[i]) > std::abs(levels.values()[best]) : levels.codes()[i] % 2 == 0;
    if (distance < least || (distance == least && wins)) best = i;
  }
  return levels.codes()[best];
}

}  // namespace

TEST_CASE("small floats have the values of their specification") {
  CHECK(positive(mini_float_levels(mini_float("fp4"))) == std::vector<float>{0, 0.5F, 1, 1.5F, 2, 3, 4, 6});
  const Levels e4m3 = mini_float_levels(mini_float("fp8")), e5m2 = mini_float_levels(mini_float("fp8:e5m2"));
  CHECK(e4m3.largest() == 448);
  CHECK(positive(e4m3)[1] == 0x1p-9F);
  CHECK(positive(e4m3).size() == 127);
  CHECK(e5m2.largest() == 57344);
  CHECK(positive(e5m2)[1] == 0x1p-16F);
  CHECK(mini_float_levels(mini_float("fp6")).largest() == 28);
  CHECK(mini_float_levels(mini_float("fp6:e2m3")).largest() == 7.5F);
  CHECK(positive(mini_float_levels(mini_float("fp6:e2m3")))[1] == 0.125F);
}

TEST_CASE("codes of small floats are bit patterns, the sign above the magnitude") {
  const Grid grid{levels_of_format("fp8"), 1};
  CHECK(grid.code(448) == 0x7e);
  CHECK(grid.code(-448) == 0xfe);
  CHECK(grid.code(1) == 0x38);
  CHECK(grid.code(-0.0F) == 0);
  CHECK(Grid{levels_of_format("fp4"), 1}.code(-6) == 0xf);
}

TEST_CASE("values beyond the largest level saturate") {
  for (const auto& format : formats()) {
    if (format.family != FormatFamily::scaled && format.family != FormatFamily::block) continue;
    const Grid grid{levels_of_format(format.name), 1};
    CHECK(grid.value(std::numeric_limits<float>::max()) == grid.levels->largest());
    CHECK(grid.value(-std::numeric_limits<float>::max()) == grid.levels->values().front());
    CHECK(grid.value(0) == 0);
  }
}

TEST_CASE("each value goes to the nearest level, at a midpoint to the even code or away from zero") {
  for (const auto& format : formats()) {
    if (format.family != FormatFamily::scaled && format.family != FormatFamily::block) continue;
    const auto levels = levels_of_format(format.name);
    const bool away = format.name.ends_with(":away");
    const Grid grid{levels, 1};
    for (float t : sample("gauss", 300)) REQUIRE(grid.code(t) == nearest_code(*levels, t, away));
    for (std::size_t i = 0; i + 1 < levels->values().size(); ++i) {
      const double middle = (static_cast<double>(levels->values()[i]) + levels->values()[i + 1]) / 2;
      const auto t = static_cast<float>(middle);
      if (t == middle) REQUIRE(grid.code(t) == nearest_code(*levels, t, away));
      REQUIRE(grid.code(levels->values()[i]) == levels->codes()[i]);
    }
  }
}

TEST_CASE("powers of two and sums of them are those of the paper") {
  CHECK(positive(power_of_two_levels(3)) == std::vector<float>{0, 0.25F, 0.5F, 1});
  CHECK(power_of_two_levels(4).values().size() == 15);
  CHECK(positive(power_of_two_levels(4))[1] == 0x1p-6F);
  CHECK(positive(additive_power_of_two_levels(3)) == std::vector<float>{0, 0.25F, 0.5F, 1});
  // Sums of {0, 1/2, 1/4, 1/16} and {0, 1/8}, divided by 5/8.
  const std::vector<float> sums{0, 1, 2, 3, 4, 6, 8, 10};
  std::vector<float> expected;
  for (const float sum : sums) expected.push_back(static_cast<float>(sum / 10.0));
  CHECK(positive(additive_power_of_two_levels(4)) == expected);
  for (int bits = 3; bits <= 7; ++bits) {
    CHECK(positive(additive_power_of_two_levels(bits)).size() == std::size_t{1} << (bits - 1));
    CHECK(additive_power_of_two_levels(bits).largest() == 1);
  }
}

TEST_CASE("NormalFloat has 16 values, an exact zero and ends at -1 and 1") {
  const Levels levels = normal_float_levels();
  CHECK(levels.values().size() == 16);
  CHECK(levels.values().front() == -1);
  CHECK(levels.values()[7] == 0);
  CHECK(levels.largest() == 1);
}

TEST_CASE("the power 1 is uniform, a smaller one has finer steps near zero") {
  CHECK(positive(power_levels(3, 1, 3)) == std::vector<float>{0, 1, 2, 3});
  const auto half = positive(power_levels(3, 0.5, 9));
  CHECK(half[1] == Approx(1));
  CHECK(half[2] == Approx(4));
  CHECK(half[3] == Approx(9));
}

TEST_CASE("power levels: codes are rounded powers, a tie goes to the even code, zeros have code 0") {
  const Levels levels = power_levels(4, 0.5, 49);  // y = sqrt |x|, s = 1
  const auto code = [&](float x) { return levels.codes()[levels.index(x)]; };
  CHECK(code(6.2F) == 2);
  CHECK(code(6.3F) == 3);
  CHECK(code(6.25F) == 2);   // sqrt 6.25 = 2.5
  CHECK(code(12.25F) == 4);  // 3.5
  CHECK(code(-12.25F) == -4);
  CHECK(code(1000) == 7);
  const Levels zeros = power_levels(4, 0.5, 0);
  CHECK(zeros.codes()[zeros.index(0)] == 0);
  CHECK(zeros.largest() == 0);
}

TEST_CASE("a grid of scale 0 makes everything 0") {
  const Grid grid{levels_of_format("fp4"), 0};
  CHECK(grid.value(3) == 0);
  CHECK(grid.code(3) == 0);
}
