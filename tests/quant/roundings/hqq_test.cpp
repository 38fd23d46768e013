#include "quant/roundings/hqq.hpp"

#include <cmath>

#include "quant/roundings/hqq_step.hpp"
#include "quant/roundings/hqq_variants.hpp"
#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

/// The mean of |w - w'|^power.
double mean_error(const std::vector<float>& values, const std::vector<std::int64_t>& begins, const HqqResult& out,
                  int power) {
  double sum = 0;
  for (std::size_t p = 0; p + 1 < begins.size(); ++p)
    for (auto i = static_cast<std::size_t>(begins[p]); i < static_cast<std::size_t>(begins[p + 1]); ++i)
      sum += std::pow(std::abs(static_cast<double>(values[i]) -
                               out.scales[p] * (out.codes[i] - static_cast<double>(out.zero_points[p]))),
                      power);
  return sum / static_cast<double>(values.size());
}
double mean_abs_error(const std::vector<float>& values, const std::vector<std::int64_t>& begins, const HqqResult& out) {
  return mean_error(values, begins, out, 1);
}
double mean_squared_error(const std::vector<float>& values, const std::vector<std::int64_t>& begins,
                          const HqqResult& out) {
  return mean_error(values, begins, out, 2);
}

constexpr auto kScales = {HqqSettings::Scale::fixed, HqqSettings::Scale::grid, HqqSettings::Scale::alternating};

}  // namespace

TEST_CASE("a half-quadratic step is that of its definition, with and without outliers of the error") {
  for (const auto kind : kDistributions)
    for (const std::size_t n : {1, 15, 16, 17, 64, 5000})
      for (const double beta : {1.0, 10.0, 1e4}) {
        const std::vector<float> values = sample(kind, n);
        HqqGrid grid;
        grid.inverse = 3, grid.scale = 1 / grid.inverse, grid.zero = 7.3F;
        const HqqStep fast = hqq_step(values, grid, 0.7, beta), slow = hqq_step_ref(values, grid, 0.7, beta);
        CHECK(fast.error == Approx(slow.error).epsilon(1e-5));
        CHECK(fast.zero == Approx(slow.zero).epsilon(1e-4).margin(1e-5));
      }
}

TEST_CASE("hqq is never worse than min-max, and a scale of its own never worse than the zero point alone, by squares") {
  for (const auto kind : kDistributions)
    for (const int q_max : {1, 2, 3, 7, 15, 255}) {
      const std::vector<float> values = sample(kind, 300);
      const auto begins = part_bounds(3, 100, 64);
      HqqVariant start;
      start.optimize = false;
      const double min_max = mean_squared_error(values, begins, hqq_variant(values, begins, q_max, start));
      const HqqResult plain = hqq(values, begins, q_max);
      const double squares = mean_squared_error(values, begins, plain);
      INFO(kind << ", " << q_max + 1 << " levels");
      CHECK(squares <= min_max * (1 + 1e-4));
      CHECK(plain.mean_abs_error == Approx(mean_abs_error(values, begins, plain)).epsilon(1e-4));
      for (const auto scale : kScales)
        CHECK(mean_squared_error(values, begins, hqq(values, begins, q_max, {.scale = scale})) <= squares * (1 + 1e-4));
    }
}

TEST_CASE("the mean error of the parts is that of each part alone: parts do not influence each other") {
  const std::vector<float> values = sample("heavy", 128);
  const HqqResult both = hqq(values, part_bounds(2, 64, 0), 7);
  const HqqResult second = hqq(std::span(values).subspan(64), part_bounds(1, 64, 0), 7);
  CHECK(both.scales[1] == second.scales[0]);
  CHECK(both.zero_points[1] == second.zero_points[0]);
}

TEST_CASE("parts of equal values, and empty ones, are exact") {
  for (const float constant : {0.0F, 0.25F, -7.0F, 1e-30F, 1e30F}) {
    const std::vector<float> values(10, constant);
    for (const auto scale : kScales) {
      const HqqResult out = hqq(values, part_bounds(1, 10, 4), 15, {.scale = scale});
      for (std::size_t i = 0; i < 10; ++i)
        CHECK(out.scales[i / 4] * (out.codes[i] - out.zero_points[i / 4]) == constant);
    }
  }
  CHECK(hqq({}, part_bounds(0, 4, 2), 15).codes.empty());
  CHECK(hqq({}, std::vector<std::int64_t>{0, 0}, 15).scales == std::vector<float>{1});
}

TEST_CASE("tiny and huge values keep a finite grid") {
  for (const float unit : {1e-44F, 1e-38F, 1e-30F, 1e30F}) {
    std::vector<float> values;
    for (int i = -4; i < 4; ++i) values.push_back(static_cast<float>(i) * unit);
    const HqqResult out = hqq(values, part_bounds(1, 8, 0), 15);
    CHECK(std::isfinite(out.scales[0]));
    CHECK(std::isfinite(out.zero_points[0]));
    CHECK(out.mean_abs_error <= 8 * static_cast<double>(unit));
  }
}

TEST_CASE("hqq leaves values too small for a scale no worse than zeros") {
  for (const float unit : {1e-45F, 1e-41F, 1e-38F})
    for (const auto scale : kScales) {
      std::vector<float> values;
      for (int i = 0; i < 64; ++i) values.push_back(static_cast<float>((i * 37) % 23 - 15) * unit);
      const HqqResult out = hqq(values, part_bounds(1, 64, 8), 15, {.scale = scale});
      double error = 0, energy = 0;
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double value = static_cast<double>(out.scales[i / 8] * (out.codes[i] - out.zero_points[i / 8]));
        error += std::pow(value - static_cast<double>(values[i]), 2);
        energy += std::pow(static_cast<double>(values[i]), 2);
      }
      CHECK(error <= energy);
    }
}

TEST_CASE("hqq names the value that is not finite") {
  for (const float bad : {NAN, INFINITY}) {
    std::vector<float> values(8, 1.0F);
    values[3] = bad;
    CHECK_THROWS(hqq(values, part_bounds(1, 8, 0), 15));
    CHECK_THROWS(hqq_variant(values, part_bounds(1, 8, 0), 15, HqqVariant::legacy()));
    CHECK_THROWS(torchao_scale(values, part_bounds(1, 8, 0), 4));
    CHECK_THROWS(brevitas_scale(values, part_bounds(1, 8, 0), 4));
  }
}

TEST_CASE("quanto's start on equal values is an error that names the part, where the package divides by zero") {
  std::vector<float> values = sample("gauss", 16);
  std::fill(values.begin() + 8, values.end(), 2.0F);
  CHECK_THROWS_WITH(hqq_variant(values, part_bounds(2, 8, 0), 15, HqqVariant::quanto()),
                    "part 1 has equal values: this variant of HQQ divides by their range");
}

TEST_CASE("hqq:legacy on a part whose range float32 does not hold is an error that names the part") {
  std::vector<float> values = sample("gauss", 16);
  values[8] = 3e38F, values[9] = -3e38F;
  CHECK_THROWS_WITH(hqq_variant(values, part_bounds(2, 8, 0), 15, HqqVariant::legacy()),
                    "part 1 has a range beyond float32: this variant of HQQ divides by it");
}

TEST_CASE("the packages' scale searches take zeros and lower the error of absmax") {
  const std::vector<float> values = sample("heavy", 512);
  const auto begins = part_bounds(4, 128, 0);
  const std::vector<float> zeros(16);
  CHECK(torchao_scale(zeros, part_bounds(1, 16, 0), 4).mean_abs_error == 0);
  CHECK(brevitas_scale(zeros, part_bounds(1, 16, 0), 4).mean_abs_error == 0);
  double absmax = 0;
  for (std::size_t p = 0; p < 4; ++p) {
    float most = 0;
    for (std::size_t i = 0; i < 128; ++i) most = std::max(most, std::abs(values[p * 128 + i]));
    for (std::size_t i = 0; i < 128; ++i)
      absmax += std::abs(static_cast<double>(values[p * 128 + i]) -
                         most / 7 * std::nearbyint(values[p * 128 + i] / (most / 7)));
  }
  CHECK(brevitas_scale(values, begins, 4).mean_abs_error < absmax / 512);
  CHECK(torchao_scale(values, begins, 4).mean_abs_error < absmax / 512);
}

TEST_CASE("part bounds cut rows into groups, the last of a row shorter") {
  CHECK(part_bounds(2, 5, 2) == std::vector<std::int64_t>{0, 2, 4, 5, 7, 9, 10});
  CHECK(part_bounds(2, 5, 0) == std::vector<std::int64_t>{0, 5, 10});
  CHECK(part_bounds(1, 5, 9) == std::vector<std::int64_t>{0, 5});
}
