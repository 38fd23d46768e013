#include "quant/roundings/descent.hpp"

#include <algorithm>
#include <cassert>

#include "quant/math/isa.hpp"

namespace bitplan {
namespace {

BITPLAN_KERNEL void add_multiple(float factor, const float* from, float* to, std::int64_t n) {
  BITPLAN_NO_OVERLAP
  for (std::int64_t i = 0; i < n; ++i) to[i] += factor * from[i];
}
void add_generic(float f, const float* from, float* to, std::int64_t n) { add_multiple(f, from, to, n); }
BITPLAN_AVX2 void add_avx2(float f, const float* from, float* to, std::int64_t n) { add_multiple(f, from, to, n); }
BITPLAN_AVX512 void add_avx512(float f, const float* from, float* to, std::int64_t n) { add_multiple(f, from, to, n); }

/// One pass over a row. True when a code changed.
bool pass_over(const RoundingProblem& problem, const RowLevels& levels, std::span<std::int16_t> codes,
               std::span<float> values, std::span<float> half) {
  constexpr decltype(&add_generic) kernels[] = {add_generic, add_avx2, add_avx512};
  const auto add = kernels[static_cast<std::size_t>(best_isa())];
  const std::int64_t k = problem.columns;
  bool changed = false;
  for (std::int64_t c = 0; c < k; ++c) {
    const auto at = static_cast<std::size_t>(c);
    const float* gram = problem.gram.data() + c * k;
    const float curvature = gram[c], slope = half[at];
    if (!(curvature > 0)) continue;
    const std::int32_t code = levels.nearest(c, values[at] - slope / curvature);
    if (code == codes[at]) continue;
    const float value = levels.value(c, code), step = value - values[at];
    if (!(step * (2 * slope + step * curvature) < 0)) continue;  // a tie, but for the rounding of floats
    codes[at] = static_cast<std::int16_t>(code);
    values[at] = value;
    add(step, gram, half.data(), k);
    changed = true;
  }
  return changed;
}

/// A row of a rounding grid.
class GridRow final : public RowLevels {
 public:
  GridRow(const RoundingGrid& grid, std::int64_t row) : grid_(grid), row_(row) {}
  std::int32_t nearest(std::int64_t column, float x) const override {
    return grid_.nearest(grid_.part(row_, column), x);
  }
  float value(std::int64_t column, std::int32_t code) const override {
    return grid_.value(grid_.part(row_, column), code);
  }

 private:
  const RoundingGrid& grid_;
  std::int64_t row_;
};

}  // namespace

void descend_row(const RoundingProblem& problem, const RowLevels& levels, std::span<std::int16_t> codes,
                 std::span<float> values, std::span<float> half, int passes) {
  for (int pass = 0; pass < passes && pass_over(problem, levels, codes, values, half); ++pass) {
  }
}

RoundedWeight descend(const RoundingProblem& problem, const LayerLoss& loss, RoundedWeight start, int passes) {
  const std::int64_t k = problem.columns;
  for_rows_together(problem, [&](std::int64_t first, std::int64_t rows) {
    check_stop(problem);
    std::vector<float> half(static_cast<std::size_t>(rows * k));
    const std::span<const float> values(start.values);
    loss.half_gradient(first, values.subspan(static_cast<std::size_t>(first * k), half.size()), half);
    const auto width = static_cast<std::size_t>(k);
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto at = static_cast<std::size_t>((first + r) * k);
      descend_row(problem, GridRow(start.grid, first + r), std::span(start.codes).subspan(at, width),
                  std::span(start.values).subspan(at, width),
                  std::span(half).subspan(static_cast<std::size_t>(r) * width, width), passes);
    }
  });
  return start;
}

RoundedWeight round_descent(const RoundingProblem& problem) {
  assert(!problem.gram.empty());
  check(problem);
  const LayerLoss loss(problem);
  return accepted(problem, loss, descend(problem, loss, round_nearest(problem)));
}

}  // namespace bitplan
