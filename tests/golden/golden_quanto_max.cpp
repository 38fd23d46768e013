#include <cmath>

#include "quant/hqq.hpp"
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

}  // namespace

/// Min-max with a zero point between codes: where HQQ starts. Theirs is shift = zero point * scale.
Outcome check_quanto_max(const GoldenCase& golden) {
  const auto bits = golden.integer("bits").value();
  if (golden.flag("zeropoint"))
    return compare_weight(golden,
                          WeightCase(golden, "int" + std::to_string(bits) + granularity_of(golden) + "+affine+minmax"),
                          1e-6, 1e-6);
  const auto axis = golden.integer("axis").value();
  if (axis != 0 && axis != -1) return Outcome::fail("no rule covers axis " + std::to_string(axis));
  const Shape shape = golden.shape("weight"), parts = golden.shape("q");
  auto weight = golden.floats("weight"), out = golden.floats("out");
  auto codes = golden.integers("q");
  auto count = static_cast<std::size_t>(parts[0]), length = static_cast<std::size_t>(parts[1]);
  if (axis == -1) {  // groups of rows of a column; in the weight as in q they follow each other column by column
    const auto rows = static_cast<std::size_t>(shape[0]), columns = weight.size() / rows;
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
  return Comparison(golden)
      .near("scale", std::vector<double>(ours.scales.begin(), ours.scales.end()), golden.doubles("scale"), 1e-6)
      .near("shift", shifts, golden.doubles("zero"), 0, 1e-6)
      .codes_except_ties(std::vector<std::int64_t>(ours.codes.begin(), ours.codes.end()), codes, positions, 1e-6)
      .near("out", values, out, 1e-6, 1e-7)
      .outcome();
}

}  // namespace bitplan::test
