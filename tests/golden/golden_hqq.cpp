#include <algorithm>
#include <cmath>

#include "quant/roundings/hqq_variants.hpp"
#include "tests/golden/golden_checks.hpp"

// HQQ and its relatives: hqq, quanto_hqq, brevitas_hqo, torchao_hqq_scale_only. The cases were made by the packages, so
// they are checked against quant/roundings/hqq_variants.hpp; the plain method must be no worse than its start and than
// them.

namespace bitplan::test {
namespace {

/// A weight as parts, each contiguous: the case's view, transposed where the scale lies along its rows.
struct GoldenParts {
  std::int64_t rows = 0, columns = 0;  // of the view
  bool by_column = false;
  std::vector<float> values;
  std::vector<std::int64_t> begins;

  /// From the view's order to the parts' order, or back.
  template <class T>
  std::vector<T> ordered(const std::vector<T>& from, bool back = false) const {
    if (!by_column) return from;
    std::vector<T> to(from.size());
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < columns; ++c) {
        const auto view = static_cast<std::size_t>(r * columns + c), part = static_cast<std::size_t>(c * rows + r);
        back ? to[view] = from[part] : to[part] = from[view];
      }
    return to;
  }
};

/// The weight in the order of meta.view: quanto's axis -1 groups the rows.
std::vector<float> viewed_weight(const GoldenCase& c) {
  std::vector<float> weight = c.floats("weight");
  if (c.text("view_kind").rfind("group(axis=-1)", 0) != 0) return weight;
  const auto group = static_cast<std::size_t>(c.meta.at("group_size").get<int>());
  const Shape shape = c.shape("weight");
  const auto outer = static_cast<std::size_t>(shape[0]), inner = static_cast<std::size_t>(shape[1]);
  if (shape.size() != 2 || outer % group != 0) throw std::runtime_error("a view of axis -1 that no rule covers");
  std::vector<float> out(weight.size());
  for (std::size_t n = 0; n < outer / group; ++n)
    for (std::size_t g = 0; g < group; ++g)
      for (std::size_t d = 0; d < inner; ++d)
        out[g * (inner * outer / group) + d * (outer / group) + n] = weight[(n * group + g) * inner + d];
  return out;
}

GoldenParts parts_of(const GoldenCase& c) {
  GoldenParts out;
  const Shape codes = c.shape("q"), scales = c.shape("scale");
  std::int64_t parts = 1;
  for (const auto extent : scales) parts *= extent;
  // hqq's axis 0 puts a part into a column; its grid search returns the scales as a vector.
  const bool vector = scales.size() == 1 && c.text("method") == "hqq" && c.integer("axis") == 0;
  out.by_column = vector || (scales.size() == 2 && scales[0] == 1 && scales[1] > 1);
  const std::int64_t size = element_count(codes);
  out.columns = out.by_column ? parts : size / parts;
  out.rows = size / out.columns;
  out.values = out.ordered(viewed_weight(c));
  for (std::int64_t p = 0; p <= parts; ++p) out.begins.push_back(p * (size / parts));
  return out;
}

double largest(const GoldenParts& parts) {
  float most = 0;
  for (const float w : parts.values) most = std::max(most, std::abs(w));
  return double{most};
}

int levels_of(const GoldenCase& c) { return static_cast<int>(*c.integer("qmax")); }

/// A result as the case has it, part by part.
struct HqqOutcome {
  std::vector<float> scales, zeros;
  std::vector<std::int64_t> codes;

  float value(std::size_t i, std::size_t length) const {
    return scales[i / length] * (static_cast<float>(codes[i]) - zeros[i / length]);
  }
  double error(const GoldenParts& parts, std::size_t part, std::size_t length) const {
    double sum = 0;
    for (std::size_t i = part * length; i < (part + 1) * length; ++i)
      sum += std::abs(static_cast<double>(value(i, length)) - parts.values[i]);
    return sum;
  }
};

/// Takes over their zero point and codes of parts in which one code went the other way at a tie of an earlier step:
/// that moves the mean, the zero point, by 1 / length at most. One part in 50 (at least one of all) may be so, with an
/// error of at most 1 % or a quarter of a step more: at the tie both codes are half a step off, but the others move.
void take_parts_of_earlier_ties(const GoldenParts& parts, const HqqOutcome& theirs, double tolerance,
                                HqqOutcome& ours) {
  if (ours.zeros.size() != theirs.zeros.size() || theirs.codes.size() != ours.codes.size()) return;
  const std::size_t count = ours.zeros.size(), length = ours.codes.size() / count;
  std::size_t left = std::max<std::size_t>(1, count / 50);
  for (std::size_t p = 0; p < count && left > 0; ++p) {
    const double apart = std::abs(static_cast<double>(ours.zeros[p]) - theirs.zeros[p]);
    if (apart <= tolerance || apart > 1 / static_cast<double>(length) + tolerance) continue;
    const double error = theirs.error(parts, p, length);
    if (ours.error(parts, p, length) > std::max(1.01 * error, error + 0.25 * theirs.scales[p])) continue;
    ours.zeros[p] = theirs.zeros[p];
    std::copy_n(theirs.codes.begin() + static_cast<std::ptrdiff_t>(p * length), length,
                ours.codes.begin() + static_cast<std::ptrdiff_t>(p * length));
    --left;
  }
}

/// Codes, scales, zeros and the mean error of a result; codes may differ where the reference's value is near a tie.
Outcome compared(const GoldenCase& c, const GoldenParts& parts, const HqqResult& result, double zero_tolerance,
                 double scale_tolerance = 1e-6, double error_tolerance = 1e-4) {
  HqqOutcome ours{result.scales, result.zero_points, {result.codes.begin(), result.codes.end()}};
  HqqOutcome theirs{c.floats("scale"), c.floats("zero"), parts.ordered(c.integers("q"))};
  if (theirs.zeros.size() == 1) theirs.zeros.resize(theirs.scales.size(), theirs.zeros[0]);
  const auto length = parts.values.size() / theirs.scales.size();
  std::vector<float> values;
  for (std::size_t i = 0; i < ours.codes.size(); ++i) values.push_back(ours.value(i, length));
  take_parts_of_earlier_ties(parts, theirs, zero_tolerance, ours);
  std::vector<double> position;
  for (std::size_t i = 0; i < parts.values.size(); ++i)
    position.push_back(static_cast<double>(parts.values[i]) / theirs.scales[i / length] + theirs.zeros[i / length]);
  Comparison is(c);
  is.near("scales", ours.scales, theirs.scales, scale_tolerance)
      .near("zero points", ours.zeros, theirs.zeros, 1e-6, zero_tolerance)
      // A zero point and a scale within their tolerances move positions by as much.
      .codes_except_ties(ours.codes, theirs.codes, position, std::max(1e-6, zero_tolerance), scale_tolerance);
  const bool moved = ours.zeros != result.zero_points;
  if (const auto error = c.number("final_mean_abs_error"))  // in float32, whose steps are those of the largest weight
    is.near("mean error", result.mean_abs_error, *error, moved ? 1e-3 : error_tolerance, 0x1p-25 * largest(parts));
  is.errors(parts.ordered(parts.values, true), parts.ordered(values, true), [&] {
    std::vector<float> out = c.floats("out");
    if (out.size() == values.size() && c.text("view_kind").rfind("group(", 0) == 0) out = parts.ordered(values, true);
    return out;
  }());
  return is.outcome();
}

HqqVariant variant_of(const GoldenCase& c) {
  const std::string solver = c.text("solver");
  HqqVariant variant = solver.empty() ? HqqVariant::legacy() : HqqVariant::v2();
  if (solver == "slow")
    variant.early_stop = false;
  else if (solver == "grid")
    variant.scale_grid = true;
  else if (!solver.empty() && solver != "v2")
    throw std::runtime_error("the solver '" + solver + "' is covered by no rule");
  variant.iterations = static_cast<int>(c.integer("iters").value_or(c.integer("iterations").value_or(20)));
  variant.p = c.number("lp_norm").value_or(0.7);
  variant.beta = c.number("beta").value_or(10);
  if (!solver.empty()) variant.kappa = c.number("kappa").value_or(1.01);
  variant.optimize = c.meta.value("optimize", true);
  variant.round_zero = c.flag("round_zero");
  return variant;
}

/// Whether the reference's error fell by no more in one of its steps than float32 shows.
bool stands_still(const nlohmann::json& errors) {
  for (std::size_t i = 1; i < errors.size(); ++i) {
    const auto before = errors[i - 1].get<double>(), after = errors[i].get<double>();
    if (std::abs(before - after) <= 0x1p-22 * after) return true;
  }
  return false;
}

/// The package stops where a float32 mean no longer falls: two errors that agree to 1e-7 may stop it, or us, earlier or
/// later. Then as many steps as it made must give its result.
Outcome compared_after_as_many_steps(const GoldenCase& c, const GoldenParts& parts, HqqVariant variant,
                                     const HqqResult& ours, const Outcome& first) {
  const auto steps = c.meta.find("per_iteration_mean_abs_error");
  const double theirs = c.number("final_mean_abs_error").value();
  if (steps == c.meta.end()) return first;
  if (std::abs(ours.mean_abs_error - theirs) > 1e-6 * theirs && !stands_still(*steps)) return first;
  variant.early_stop = false;
  variant.iterations = static_cast<int>(steps->size());
  return compared(c, parts, hqq_variant(parts.values, parts.begins, levels_of(c), variant, 1), 1e-4);
}

/// Of hqq(), which judges by it: the packages judge by the mean error.
double squared_error(const GoldenParts& parts, const HqqResult& result) {
  double sum = 0;
  for (std::size_t p = 0; p < result.scales.size(); ++p)
    for (auto i = static_cast<std::size_t>(parts.begins[p]); i < static_cast<std::size_t>(parts.begins[p + 1]); ++i) {
      const double value = static_cast<double>(result.scales[p]) *
                           (static_cast<double>(result.codes[i]) - static_cast<double>(result.zero_points[p]));
      sum += std::pow(value - static_cast<double>(parts.values[i]), 2);
    }
  return sum;
}

}  // namespace

Outcome check_hqq(const GoldenCase& c) {
  const GoldenParts parts = parts_of(c);
  HqqVariant variant = variant_of(c);
  if (!c.meta.value("channel_wise", true)) variant.optimize = false;  // the package optimises groups only
  const HqqResult ours = hqq_variant(parts.values, parts.begins, levels_of(c), variant, 1);
  if (variant.scale_grid)  // a tie in the argmin may fall the other way, and moves one part: the error counts
    return Comparison(c)
        .at_most("mean error", ours.mean_abs_error, c.number("final_mean_abs_error").value(), 1 + 1e-4)
        .outcome();
  Outcome outcome = compared(c, parts, ours, variant.early_stop ? 1e-4 : 1e-3, 1e-6, 1e-5);
  if (outcome.kind == Outcome::Kind::failed && variant.keep == HqqVariant::Keep::last && variant.optimize)
    outcome = compared_after_as_many_steps(c, parts, variant, ours, outcome);
  const HqqResult plain = hqq(parts.values, parts.begins, levels_of(c), {}, 1);
  const HqqResult alternating =
      hqq(parts.values, parts.begins, levels_of(c), {.scale = HqqSettings::Scale::alternating}, 1);
  if (outcome.kind == Outcome::Kind::passed &&
      squared_error(parts, alternating) > squared_error(parts, plain) * (1 + 1e-5))
    return Outcome::fail("scale and zero point in turn end worse than the zero point alone");
  return outcome;
}

Outcome check_quanto_hqq(const GoldenCase& c) {
  const GoldenParts parts = parts_of(c);
  HqqVariant variant = HqqVariant::quanto();
  variant.iterations = static_cast<int>(c.integer("iterations").value_or(20)) + 1;
  variant.p = c.number("lp_norm").value_or(0.7);
  variant.beta = c.number("beta").value_or(10);
  variant.kappa = c.number("kappa").value_or(1.01);
  HqqResult ours = hqq_variant(parts.values, parts.begins, levels_of(c), variant, 1);
  // The package keeps a shift in weight units: q s - shift, so shift = s z.
  Comparison is(c);
  const std::vector<float> scales = c.floats("scale"), shifts = c.floats("zero");
  std::vector<float> our_shifts;
  HqqOutcome here{ours.scales, ours.zero_points, {ours.codes.begin(), ours.codes.end()}};
  HqqOutcome theirs{scales, shifts, parts.ordered(c.integers("q"))};
  for (std::size_t p = 0; p < scales.size(); ++p) theirs.zeros[p] /= scales[p];
  take_parts_of_earlier_ties(parts, theirs, 1e-4, here);
  for (std::size_t p = 0; p < here.scales.size(); ++p) our_shifts.push_back(here.scales[p] * here.zeros[p]);
  is.near("scales", ours.scales, scales, 1e-6).near("shifts", our_shifts, shifts, 0, 1e-5 * largest(parts));
  std::vector<double> position;
  const auto length = parts.values.size() / scales.size();
  for (std::size_t i = 0; i < parts.values.size(); ++i)
    position.push_back((static_cast<double>(parts.values[i]) + shifts[i / length]) / scales[i / length]);
  is.codes_except_ties(here.codes, theirs.codes, position, 1e-5);
  is.near("mean error", ours.mean_abs_error, c.number("final_mean_abs_error").value(), 1e-4);
  return is.outcome();
}

Outcome check_brevitas_hqo(const GoldenCase& c) {
  const GoldenParts parts = parts_of(c);
  const auto bits = static_cast<int>(*c.integer("bits"));
  if (!c.flag("symmetric"))
    return compared(c, parts, hqq_variant(parts.values, parts.begins, (1 << bits) - 1, HqqVariant::brevitas(), 1),
                    1e-3);
  if (!c.flag("narrow")) return Outcome::fail("a symmetric case that is not narrow is covered by no rule");
  const HqqResult ours = brevitas_scale(parts.values, parts.begins, bits);
  const Outcome outcome = compared(c, parts, ours, 0, 1e-4);
  // The step at which the package stops is float32 noise: up to 50 steps apart the error is nearly the same.
  return outcome.kind == Outcome::Kind::passed ? outcome : compared(c, parts, ours, 0, 5e-4, 2e-5);
}

Outcome check_torchao_hqq(const GoldenCase& c) {
  const GoldenParts parts = parts_of(c);
  return compared(c, parts, torchao_scale(parts.values, parts.begins, static_cast<int>(*c.integer("bits"))), 0, 1e-5);
}

}  // namespace bitplan::test
