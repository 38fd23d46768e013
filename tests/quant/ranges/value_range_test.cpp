#include "quant/ranges/value_range.hpp"

#include <limits>

#include "core/error.hpp"
#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

TEST_CASE("the range of values is their smallest and largest, of none it is zero") {
  for (const Isa isa : usable_isas()) {
    CHECK(range_of_on(isa, std::vector<float>{}) == Range{0, 0});
    CHECK(range_of_on(isa, std::vector<float>{3}) == Range{3, 3});
    CHECK(range_of_on(isa, std::vector<float>{-2, -5, -3}) == Range{-5, -2});
    CHECK(range_of_on(isa, std::vector<float>{1e-40F, -1e-40F, 0}) == Range{-1e-40F, 1e-40F});
    for (std::size_t n = 1; n < 70; ++n) {
      const std::vector<float> values = sample("gauss", n, n);
      const auto [low, high] = std::minmax_element(values.begin(), values.end());
      CHECK(range_of_on(isa, values) == Range{*low, *high});
    }
  }
}

TEST_CASE("the range of zeros of both signs is 0, never -0") {
  const Range range = range_of(std::vector<float>{-0.0F, -0.0F});
  CHECK_FALSE(std::signbit(range.low));
  CHECK_FALSE(std::signbit(range.high));
}

TEST_CASE("NaN and infinite values are errors that name the first one") {
  constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
  const std::string rest = "; only finite values can be quantized";
  for (const Isa isa : usable_isas())
    for (const std::size_t at : {0, 1, 39}) {
      const auto with = [&](float bad) {
        std::vector<float> values(40, 1);
        values[at] = bad;
        return values;
      };
      const std::string place = "value " + std::to_string(at) + " of 40 is ";
      CHECK_THROWS_WITH(range_of_on(isa, with(kNan)), place + "NaN" + rest);
      CHECK_THROWS_WITH(range_of_on(isa, with(-kNan)), place + "NaN" + rest);
      CHECK_THROWS_WITH(range_of_on(isa, with(kInf)), place + "infinite" + rest);
      CHECK_THROWS_WITH(range_of_on(isa, with(-kInf)), place + "infinite" + rest);
      CHECK_NOTHROW(range_of_on(isa, with(std::numeric_limits<float>::max())));
    }
}

TEST_CASE("at least the given per cent of the values are inside") {
  CHECK(values_inside(1000, 99.9) == 999);
  CHECK(values_inside(1001, 99.9) == 1000);
  CHECK(values_inside(10, 100) == 10);
  CHECK(values_inside(10, 50) == 5);
  CHECK(values_inside(11, 50) == 6);
  CHECK(values_inside(1, 99.99) == 1);
  CHECK(values_inside(0, 99.99) == 0);
  for (int tenths = 500; tenths <= 1000; ++tenths) CHECK(values_inside(1000, tenths / 10.0) == tenths);
}
