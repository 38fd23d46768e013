#include <cmath>
#include <map>

#include "quant/power_levels.hpp"
#include "quant/range_search.hpp"
#include "tests/golden/golden_checks.hpp"
#include "tests/golden/golden_weights.hpp"

namespace bitplan::test {
namespace {

std::string bits_of(const GoldenCase& golden) { return std::to_string(golden.integer("bits").value_or(0)); }

/// Bit patterns of FP8 with -0 as 0.
std::vector<std::int64_t> without_minus_zero(std::vector<std::int64_t> patterns) {
  for (auto& p : patterns)
    if (p == 0x80) p = 0;
  return patterns;
}

/// Codes and values of a format of fixed levels, but where a value lies at a bound between levels.
Outcome compare_levels(const GoldenCase& golden, const WeightCase& weight, const std::string& levels,
                       double tolerance) {
  const auto tie = near_bounds(*levels_of_format(levels), weight.positions());
  std::vector<bool> same = tie;
  same.flip();
  Comparison is(golden);
  if (golden.has("q")) {
    auto ours = without_minus_zero(weight.codes());
    const int sign = 1 << (golden.integer("bits").value() - 1);
    auto theirs = golden.integers("q");
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      if (theirs[i] == sign) theirs[i] = 0;
      if (tie[i]) ours[i] = theirs[i];
    }
    is.codes(ours, theirs);
  }
  return is.near("out", weight.values_where(same), golden.floats("out"), tolerance)
      .errors(weight.weight(), weight.ours().values, golden.floats("out"))
      .outcome();
}

/// A saturating cast differs from torch's only where that gives NaN or infinity.
Outcome check_cast(const GoldenCase& golden, const std::string& format) {
  const Grid grid{levels_of_format(format), 1};
  const auto x = golden.floats("x"), out = golden.floats("out");
  const auto nan = golden.integers("is_nan"), infinite = golden.integers("is_inf");
  std::vector<std::int64_t> ours, theirs = without_minus_zero(golden.integers("q"));
  std::vector<float> values;
  Comparison is(golden);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bool saturates = nan[i] != 0 || infinite[i] != 0;
    if (saturates && !std::isnan(x[i])) is.holds(std::abs(grid.value(x[i])) == grid.levels->largest(), "it saturates");
    ours.push_back(saturates ? theirs[i] : grid.code(x[i]));
    values.push_back(saturates ? out[i] : grid.value(x[i]));
  }
  return is.codes(ours, theirs).exact("out", values, out).outcome();
}

}  // namespace

Outcome check_fp8(const GoldenCase& golden) {
  const std::string name = golden.text("case"), both = name + golden.text("formula");
  const std::string format =
      both.find("e5m2") != std::string::npos && name.find("e4m3") == std::string::npos ? "fp8:e5m2" : "fp8";
  if (golden.has("x")) return check_cast(golden, format);
  const WeightCase weight(golden, format + granularity_of(golden));
  const Outcome scales = golden.has("q")
                             ? Comparison(golden).near("scale", weight.scales(), weight.theirs("scale"), 1e-6).outcome()
                             : Outcome::pass();
  if (scales.kind != Outcome::Kind::passed) return scales;
  return compare_levels(golden, weight, format, golden.has("q") ? 0 : 1e-6);
}

Outcome check_mx(const GoldenCase& golden) {
  static const std::map<std::string, std::string> kFormats{
      {"fp4_e2m1", "mxfp4"}, {"fp6_e3m2", "mxfp6"},      {"fp6_e2m3", "mxfp6:e2m3"}, {"fp8_e4m3", "mxfp8"},
      {"int8", "mxint8"},    {"fp8_e5m2", "mxfp8:e5m2"}, {"int4", "mxint4"}};
  const auto format = kFormats.find(golden.text("elem_format"));
  if (format == kFormats.end()) return Outcome::fail("no rule covers element " + golden.text("elem_format"));
  if (golden.integer("group_size") != 32) return Outcome::fail("no rule covers blocks other than 32");
  if (golden.text("round") == "nearest")
    return Outcome::skip("microxcaling's `nearest` rounds half away from zero; OCP and hardware round half to even");
  if (golden.text("round") != "even") return Outcome::fail("no rule covers rounding " + golden.text("round"));
  const WeightCase weight(golden, format->second);
  return Comparison(golden)
      .exact("out", weight.ours().values, golden.floats("out"))
      .errors(weight.weight(), weight.ours().values, golden.floats("out"))
      .outcome();
}

Outcome check_nvfp4(const GoldenCase& golden) {
  if (!golden.number("per_tensor_scale"))
    return Outcome::skip(
        "nvfp4 without a scale of the tensor: block scales below 2^-6 are clipped, small weights vanish");
  const WeightCase weight(golden, "nvfp4");
  return compare_levels(golden, weight, "fp4", 1e-6);
}

Outcome check_shared_microexponent(const GoldenCase& golden) {
  const WeightCase weight(golden, "mx" + bits_of(golden));
  return Comparison(golden)
      .exact("out", weight.ours().values, golden.floats("out"))
      .codes(weight.codes(), golden.integers("q"))
      .errors(weight.weight(), weight.ours().values, golden.floats("out"))
      .outcome();
}

Outcome check_vsquant(const GoldenCase& golden) {
  const std::string choice = "vsint" + bits_of(golden) + ":g" + std::to_string(golden.integer("vector").value()) +
                             "+scale" + std::to_string(golden.integer("scale_bits").value());
  return compare_weight(golden, WeightCase(golden, choice), 1e-6, 1e-6);
}

Outcome check_log2(const GoldenCase& golden) {
  const WeightCase weight(golden, "log" + bits_of(golden) + granularity_of(golden));
  const auto ours = weight.codes(), theirs = golden.integers("q");
  std::vector<std::int64_t> accepted = ours;
  std::vector<bool> same(ours.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const double logarithm = std::log2(std::abs(static_cast<double>(weight.weight()[i])));
    if (std::abs(logarithm - std::floor(logarithm) - 0.5) < 1e-6) accepted[i] = theirs[i];
    same[i] = ours[i] == theirs[i];
  }
  return Comparison(golden)
      .codes(accepted, theirs)
      .exact("out", weight.values_where(same), golden.floats("out"))
      .errors(weight.weight(), weight.ours().values, golden.floats("out"))
      .outcome();
}

Outcome check_power_exponent(const GoldenCase& golden) {
  const auto weight = golden.floats("weight"), out = golden.floats("out");
  const auto bits = static_cast<int>(golden.integer("bits").value());
  const auto rows = static_cast<std::size_t>(golden.shape("weight")[0]), length = weight.size() / rows;
  // Values, codes and the squared error under exponent a, a row at a time.
  const auto forward = [&](double a, std::vector<float>& values, std::vector<std::int64_t>& codes) {
    double error = 0;
    for (std::size_t r = 0; r < rows; ++r) {
      const auto row = std::span(weight).subspan(r * length, length);
      float most = 0;
      for (const float x : row) most = std::max(most, std::abs(x));
      const Grid grid{std::make_shared<const Levels>(power_levels(bits, a, most)), 1};
      for (const float x : row) values.push_back(grid.value(x)), codes.push_back(grid.code(x));
      error += range_error(row, grid, {});
    }
    return error;
  };
  Comparison is(golden);
  std::vector<float> values;
  std::vector<std::int64_t> codes;
  if (golden.has("grid")) {
    std::vector<double> errors;
    for (const double a : golden.doubles("grid"))
      errors.push_back(forward(a, values, codes)), values.clear(), codes.clear();
    is.near("sq_error", errors, golden.doubles("sq_error"), 1e-6);
  }
  forward(golden.number("exponent").value(), values, codes);
  return is.codes(codes, golden.integers("q")).near("out", values, out, 1e-5).errors(weight, values, out).outcome();
}

}  // namespace bitplan::test
