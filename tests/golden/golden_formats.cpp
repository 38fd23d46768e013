#include <cmath>
#include <map>

#include "quant/ranges/value_range.hpp"
#include "quant/roundings/power_exponent.hpp"
#include "tests/golden/golden_checks.hpp"
#include "tests/golden/golden_weights.hpp"

namespace bitplan::test {
namespace {

/// Bit patterns of FP8 with -0 as 0.
std::vector<std::int64_t> without_minus_zero(std::vector<std::int64_t> patterns) {
  for (auto& p : patterns)
    if (p == 0x80) p = 0;
  return patterns;
}

WeightView by_channel(const GoldenCase& golden) { return WeightView::of(golden.shape("weight"), 0); }

/// Codes and values of a format of fixed levels; of values at a bound between levels only where the source divides by
/// the scale, as here.
Outcome compare_levels(const GoldenCase& golden, const WeightCase& weight, const std::string& levels, double tolerance,
                       bool divides) {
  std::vector<bool> tie(weight.weight().size());
  if (!divides) tie = near_bounds(*levels_of_format(levels), weight.positions());
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
  if (golden.has("x")) return check_cast(golden, range_of(golden.floats("out")).high > 448 ? "fp8:e5m2" : "fp8");
  const std::string source = golden.text("source") + golden.text("formula");
  const bool e4m3 = source.find("e4m3") != std::string::npos, e5m2 = source.find("e5m2") != std::string::npos;
  if (e4m3 == e5m2) return Outcome::fail("no rule covers its source: " + golden.text("source"));
  const std::string format = e5m2 ? "fp8:e5m2" : "fp8";
  const WeightCase weight(golden, format + granularity_of(golden),
                          static_cast<int>(golden.integer("axis").value_or(0)));
  const Outcome scales = golden.has("q")
                             ? Comparison(golden).near("scale", weight.scales(), weight.theirs("scale"), 1e-6).outcome()
                             : Outcome::pass();
  if (scales.kind != Outcome::Kind::passed) return scales;
  return compare_levels(golden, weight, format, golden.has("q") ? 0 : 1e-6, golden.has("q"));
}

Outcome check_mx(const GoldenCase& golden) {
  static const std::map<std::string, std::string> kFormats{
      {"fp4_e2m1", "mxfp4"}, {"fp6_e3m2", "mxfp6"},      {"fp6_e2m3", "mxfp6:e2m3"}, {"fp8_e4m3", "mxfp8"},
      {"int8", "mxint8"},    {"fp8_e5m2", "mxfp8:e5m2"}, {"int4", "mxint4"}};
  const auto format = kFormats.find(golden.text("elem_format"));
  if (format == kFormats.end()) return Outcome::fail("no rule covers element " + golden.text("elem_format"));
  const std::string round = golden.text("round");
  if (round != "even" && round != "nearest") return Outcome::fail("no rule covers rounding " + round);
  Choice choice = choice_of(format->second + (round == "nearest" ? ":away" : ""));
  choice.granularity.group = static_cast<int>(golden.integer("group_size").value());
  const WeightCase weight(golden, choice, by_channel(golden));
  return Comparison(golden)
      .exact("out", weight.ours().values, golden.floats("out"))
      .errors(weight.weight(), weight.ours().values, golden.floats("out"))
      .outcome();
}

Outcome check_nvfp4(const GoldenCase& golden) {
  const WeightCase weight(golden, golden.number("per_tensor_scale") ? "nvfp4" : "nvfp4:block");
  return compare_levels(golden, weight, "fp4", 1e-6, true);
}

Outcome check_shared_microexponent(const GoldenCase& golden) {
  if (golden.integer("k2") != 2) return Outcome::fail("no rule covers shifts of other than pairs");
  Choice choice = choice_of("mx9", golden.integer("mantissa_bits").value() + 1);
  choice.granularity.group = static_cast<int>(golden.integer("k1").value());
  const WeightCase weight(golden, choice, by_channel(golden));
  return Comparison(golden)
      .exact("out", weight.ours().values, golden.floats("out"))
      .codes(weight.codes(), golden.integers("q"))
      .errors(weight.weight(), weight.ours().values, golden.floats("out"))
      .outcome();
}

Outcome check_vsquant(const GoldenCase& golden) {
  const std::string choice = "vsint4:g" + std::to_string(golden.integer("vector").value()) + "+scale" +
                             std::to_string(golden.integer("scale_bits").value());
  const WeightCase weight(golden, choice_of(choice, golden.integer("bits").value()), by_channel(golden));
  return compare_weight(golden, weight, 1e-6, 1e-6);
}

Outcome check_log2(const GoldenCase& golden) {
  const WeightCase weight(golden, choice_of("log4" + granularity_of(golden), golden.integer("bits").value()),
                          by_channel(golden));
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
  const auto weight = golden.floats("weight");
  const auto bits = static_cast<int>(golden.integer("bits").value());
  const std::int64_t rows = golden.integer("axis") ? golden.shape("weight")[0] : 1;
  const double exponent = golden.number("exponent").value();
  Comparison is(golden);
  if (golden.has("grid")) {
    const std::vector<double> errors = power_errors(weight, rows, bits, golden.doubles("grid"));
    is.near("sq_error", errors, golden.doubles("sq_error"), 1e-6);
    is.near("exponent", power_search(weight, rows, bits), exponent, 1e-6);
  }
  const PowerQuantized ours = power_quantize(weight, rows, bits, exponent);
  const std::vector<std::int64_t> codes(ours.codes.begin(), ours.codes.end()), theirs = golden.integers("q");
  const std::vector<float> out = golden.floats("out");
  std::vector<float> values = ours.values;
  std::vector<double> positions;
  const std::size_t length = weight.size() / static_cast<std::size_t>(rows);
  for (std::size_t i = 0; i < weight.size(); ++i) {
    const double power = std::pow(std::abs(static_cast<double>(weight[i])), exponent);
    positions.push_back(std::copysign(power, weight[i]) / ours.scales[i / length]);
    if (codes[i] != theirs.at(i)) values[i] = out[i];  // a near tie, or an error of codes
  }
  return is.codes_except_ties(codes, theirs, positions, 1e-6)
      .near("out", values, out, 1e-5)
      .errors(weight, ours.values, out)
      .outcome();
}

}  // namespace bitplan::test
