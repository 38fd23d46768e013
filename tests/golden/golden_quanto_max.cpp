#include <algorithm>
#include <cmath>

#include "quant/roundings/hqq.hpp"
#include "tests/golden/golden_checks.hpp"
#include "tests/golden/golden_weights.hpp"

namespace bitplan::test {
namespace {

/// The columns of a [rows, columns] matrix one after the other, as rows.
template <class T>
std::vector<T> by_column(const std::vector<T>& matrix, std::size_t rows, std::size_t columns) {
  std::vector<T> out;
  for (std::size_t c = 0; c < columns; ++c)
    for (std::size_t r = 0; r < rows; ++r) out.push_back(matrix[r * columns + c]);
  return out;
}

/// Parts of one sign are left out: the package's range does not contain 0, which its whole zero point clips.
Outcome check_with_zero_point(const GoldenCase& golden) {
  const std::string format = "int" + std::to_string(golden.integer("bits").value());
  const WeightCase weight(golden, format + granularity_of(golden) + "+affine+minmax",
                          static_cast<int>(golden.integer("group_size") ? 0 : golden.integer("axis").value_or(0)));
  const auto theirs = weight.theirs("scale");
  const auto ours = weight.scales(), zeros = weight.zero_points();
  std::vector<bool> left_out;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const bool one_sign = zeros[i] == 0 || zeros[i] == (1 << golden.integer("bits").value()) - 1;
    left_out.push_back(one_sign && theirs[i] < ours[i]);
  }
  if (std::find(left_out.begin(), left_out.end(), true) == left_out.end()) left_out.clear();
  return compare_weight(golden, weight, 1e-6, 1e-6, 0, left_out);
}

}  // namespace

/// Min-max with a zero point between codes: where HQQ starts. Theirs is shift = zero point * scale.
Outcome check_quanto_max(const GoldenCase& golden) {
  const auto bits = golden.integer("bits").value();
  if (golden.flag("zeropoint")) return check_with_zero_point(golden);
  const auto axis = golden.integer("axis").value();
  if (axis != 0 && axis != -1) return Outcome::fail("no rule covers axis " + std::to_string(axis));
  const Shape shape = golden.shape("weight"), parts = golden.shape("q");
  auto weight = golden.floats("weight"), out = golden.floats("out");
  auto codes = golden.integers("q");
  auto count = static_cast<std::size_t>(parts[0]), length = static_cast<std::size_t>(parts[1]);
  if (axis == -1) {  // groups of rows of a column; in the weight as in q they follow each other column by column
    const auto columns = static_cast<std::size_t>(shape.back()), rows = weight.size() / columns;
    std::swap(count, length);
    weight = by_column(weight, rows, columns);
    out = by_column(out, rows, columns);
    codes = by_column(codes, length, count);
  }
  HqqSettings start;
  start.iterations = 0;
  const auto bounds = part_bounds(static_cast<std::int64_t>(count), static_cast<std::int64_t>(length), 0);
  const HqqResult ours = hqq(weight, bounds, (1 << bits) - 1, start, 1);
  std::vector<double> shifts, positions;
  for (std::size_t p = 0; p < count; ++p) shifts.push_back(static_cast<double>(ours.zero_points[p]) * ours.scales[p]);
  std::vector<float> values;
  for (std::size_t i = 0; i < weight.size(); ++i) {
    const std::size_t p = i / length;
    positions.push_back((weight[i] + shifts[p]) / ours.scales[p]);
    values.push_back(ours.scales[p] * (static_cast<float>(codes[i]) - ours.zero_points[p]));
  }
  double most = 0;  // the shift is subtracted, so that small values have its rounding error
  for (const double shift : shifts) most = std::max(most, std::abs(shift));
  return Comparison(golden)
      .near("scale", std::vector<double>(ours.scales.begin(), ours.scales.end()), golden.doubles("scale"), 1e-6)
      .near("shift", shifts, golden.doubles("zero"), 1e-6, 1e-6)
      .codes_except_ties(std::vector<std::int64_t>(ours.codes.begin(), ours.codes.end()), codes, positions, 1e-6)
      .near("out", values, out, 1e-6, 1e-6 * most)
      .outcome();
}

}  // namespace bitplan::test
