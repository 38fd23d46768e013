// How close the vector functions come to the standard library's in double: over all floats, on every instruction set.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "eval/kernels/pointwise.hpp"
#include "eval/kernels/row_kernels.hpp"
#include "tests/catch.hpp"

namespace bitplan::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Every 50,021st float, by its bits: both signs, subnormal numbers, infinities and NaN of many kinds; and the ends.
std::vector<float> floats_of_all_sizes() {
  std::vector<float> x;
  for (std::uint64_t bits = 0; bits <= 0xFFFFFFFF; bits += 50021)
    x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  for (const std::uint32_t bits : {0x80000000U, 0x7F800000U, 0xFF800000U, 0x7FC00000U, 0x7FFFFFFFU, 0xFFFFFFFFU,
                                   0x7F7FFFFFU, 0xFF7FFFFFU, 0x00000001U, 0x807FFFFFU})
    x.push_back(std::bit_cast<float>(bits));
  return x;
}

/// `count` numbers from `low` to `high`.
std::vector<float> floats_between(float low, float high, std::size_t count) {
  std::vector<float> x(count);
  for (std::size_t i = 0; i < count; ++i)
    x[i] = low + (high - low) * static_cast<float>(i) / static_cast<float>(count - 1);
  return x;
}

std::vector<float> run(const char* op, Isa isa, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  find_unary(op)->run[static_cast<std::size_t>(isa)](x.data(), y.data(), x.size(), 0, 0);
  return y;
}

/// The distance of floats from `exact` there.
double unit(double exact) {
  const double size = std::max(std::abs(exact), static_cast<double>(std::numeric_limits<float>::min()));
  return std::ldexp(1.0, std::ilogb(size) - 23);
}

/// The largest error in units of the last place, of results that are normal numbers. NaN must stay NaN.
template <class Function>
double worst_units(const std::vector<float>& x, const std::vector<float>& y, const Function& function) {
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double exact = function(static_cast<double>(x[i]));
    if (std::isnan(x[i]) != std::isnan(y[i])) return kInfinity;
    if (std::isnan(x[i]) || std::abs(exact) > static_cast<double>(std::numeric_limits<float>::max())) continue;
    worst = std::max(worst, std::abs(static_cast<double>(y[i]) - exact) / unit(exact));
  }
  return worst;
}

double gelu(double x) {
  return x < 0 ? x * std::erfc(-x * std::sqrt(0.5)) / 2 : x * (1 + std::erf(x * std::sqrt(0.5))) / 2;
}

}  // namespace

TEST_CASE("Exp is within two units of the last place, and 0 where floats lose digits") {
  const auto exact = [](double v) { return v < static_cast<double>(-87.3F) ? 0 : std::exp(v); };
  for (const Isa isa : usable_isas())
    for (const auto& x : {floats_of_all_sizes(), floats_between(-89, 89, 50001)}) {
      const std::vector<float> y = run("Exp", isa, x);
      CAPTURE(static_cast<int>(isa));
      CHECK(worst_units(x, y, exact) < 2);
      for (std::size_t i = 0; i < x.size(); ++i)
        if (x[i] > 88.73F && y[i] != kInfinity) FAIL("Exp of " << x[i] << " is " << y[i]);
    }
}

TEST_CASE("Erf is within seven units of the last place, and never beyond 1") {
  for (const Isa isa : usable_isas())
    for (const auto& x : {floats_of_all_sizes(), floats_between(-5, 5, 50001)}) {
      const std::vector<float> y = run("Erf", isa, x);
      CAPTURE(static_cast<int>(isa));
      CHECK(worst_units(x, y, [](double v) { return std::erf(v); }) < 7);
      CHECK(std::ranges::none_of(y, [](float v) { return std::abs(v) > 1; }));
    }
}

TEST_CASE("Gelu is within four units of the last place of its input, and as close to 0 as that on the left") {
  for (const Isa isa : usable_isas())
    for (const auto& x : {floats_of_all_sizes(), floats_between(-9, 9, 50001)}) {
      const std::vector<float> y = run("Gelu", isa, x);
      double worst = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        if (std::isnan(x[i]) != std::isnan(y[i])) FAIL("Gelu of " << x[i] << " is " << y[i]);
        if (std::isnan(x[i]) || std::isinf(x[i])) continue;
        const auto wide = static_cast<double>(x[i]);
        worst = std::max(worst, std::abs(static_cast<double>(y[i]) - gelu(wide)) / unit(wide));
      }
      CAPTURE(static_cast<int>(isa));
      CHECK(worst < 4);
    }
}

TEST_CASE("Gelu of infinities is its limit, of large numbers the number or 0") {
  for (const Isa isa : usable_isas())
    CHECK(run("Gelu", isa, {kInfinity, -kInfinity, 3e38F, -3e38F, 6, -6, 0}) ==
          std::vector<float>{kInfinity, 0, 3e38F, 0, 6, 0, 0});
}

TEST_CASE("softmax of two numbers has the ratio of their exponentials") {
  const std::vector<float> x = floats_between(-87, 0, 5001);
  for (const Isa isa : usable_isas()) {
    double worst = 0;
    for (const float v : x) {
      const float row[]{v, 0};
      float y[2];
      softmax_row(isa, row, nullptr, y, 2);
      const double exact = std::exp(static_cast<double>(v));
      worst = std::max(worst, std::abs(static_cast<double>(y[0]) / static_cast<double>(y[1]) - exact) / unit(exact));
    }
    CAPTURE(static_cast<int>(isa));
    CHECK(worst < 4);
  }
}

TEST_CASE("NaN of any kind makes a row of softmax and of normalization NaN") {
  for (const Isa isa : usable_isas())
    for (const std::uint32_t bits : {0x7FC00000U, 0xFFC00000U, 0x7FFFFFFFU, 0xFFFFFFFFU, 0x7FC00101U, 0xFFD55555U})
      for (const std::size_t n : {3, 20, 70}) {
        std::vector<float> x(n, 1.0F), y(n);
        x[n - 2] = std::bit_cast<float>(bits);
        softmax_row(isa, x.data(), nullptr, y.data(), n);
        CHECK(std::ranges::all_of(y, [](float v) { return std::isnan(v); }));
        norm_row(isa, {nullptr, nullptr, 1e-5F, true}, x.data(), y.data(), n);
        CHECK(std::ranges::all_of(y, [](float v) { return std::isnan(v); }));
      }
}

TEST_CASE("rows stay as they are beside what is written, at every length") {
  for (const Isa isa : usable_isas())
    for (std::size_t n = 1; n < 70; ++n) {
      const std::vector<float> x(n, 2.0F), scale(n, 3.0F), bias(n, 5.0F);
      std::vector<float> y(n + 2, -7.0F);
      softmax_row(isa, x.data(), scale.data(), y.data() + 1, n);
      CHECK(y[0] == -7);
      CHECK(y[n + 1] == -7);
      CHECK(y[n] == Approx(1 / static_cast<double>(n)));
      norm_row(isa, {scale.data(), bias.data(), 1, false}, x.data(), y.data() + 1, n);
      CHECK(y[0] == -7);
      CHECK(y[n + 1] == -7);
      CHECK(y[n] == Approx(5 + 3 * 2 / std::sqrt(5)));
    }
}

}  // namespace bitplan::test
