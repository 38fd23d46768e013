#include "quant/roundings/output_range.hpp"

#include <algorithm>
#include <vector>

#include "quant/roundings/layer_loss.hpp"

namespace bitplan {
namespace {

constexpr int kRatios = 21;
constexpr double kLeast = 0.3;

/// One row of the weight, its values and the half gradient as they stand.
class RowSearch {
 public:
  RowSearch(const RoundingProblem& problem, std::int64_t row, RoundingGrid& grid, std::span<float> values,
            std::span<float> half)
      : problem_(problem), row_(row), grid_(grid), values_(values), half_(half) {}

  /// The columns first … last - 1 are one part.
  void part(std::size_t first, std::size_t last) {
    const std::size_t n = last - first, at = grid_.part(row_, static_cast<std::int64_t>(first));
    const float whole = grid_.scales[at];
    std::vector<float> best, change(n), product(n);
    double least = 0;
    float chosen = whole;
    for (int i = kRatios - 2; i >= 0; --i) {  // of equal ones the widest
      grid_.scales[at] = static_cast<float>(whole * (kLeast + (1 - kLeast) * i / (kRatios - 1)));
      if (grid_.scales[at] == 0) break;
      for (std::size_t c = 0; c < n; ++c)
        change[c] = grid_.value(at, grid_.nearest(at, weight(first + c))) - values_[first + c];
      if (const double now = loss_change(first, change, product); now < least) {
        least = now;
        best = change;
        chosen = grid_.scales[at];
      }
    }
    grid_.scales[at] = chosen;
    if (!best.empty()) apply(first, best);
  }

 private:
  float weight(std::size_t column) const {
    return problem_.weights[static_cast<std::size_t>(row_ * problem_.columns) + column];
  }
  const float* gram_row(std::size_t column) const {
    return problem_.gram.data() + column * static_cast<std::size_t>(problem_.columns);
  }

  double loss_change(std::size_t first, const std::vector<float>& u, std::vector<float>& product) const {
    std::ranges::fill(product, 0.0F);
    for (std::size_t i = 0; i < u.size(); ++i) {
      if (u[i] == 0) continue;
      const float* row = gram_row(first + i) + first;
      for (std::size_t j = 0; j < u.size(); ++j) product[j] += u[i] * row[j];
    }
    double sum = 0;
    for (std::size_t i = 0; i < u.size(); ++i)
      sum += static_cast<double>(u[i]) * (2 * static_cast<double>(half_[first + i]) + static_cast<double>(product[i]));
    return sum;
  }

  void apply(std::size_t first, const std::vector<float>& u) {
    for (std::size_t i = 0; i < u.size(); ++i) {
      if (u[i] == 0) continue;
      values_[first + i] += u[i];
      const float* row = gram_row(first + i);
      for (std::size_t j = 0; j < half_.size(); ++j) half_[j] += u[i] * row[j];
    }
  }

  const RoundingProblem& problem_;
  std::int64_t row_;
  RoundingGrid& grid_;
  std::span<float> values_, half_;
};

}  // namespace

RoundedWeight range_by_output(const RoundingProblem& problem) {
  check(problem);
  RoundingProblem searched = problem;
  const LayerLoss loss(problem);
  const RoundedWeight start = round_nearest(problem);
  const auto k = static_cast<std::size_t>(problem.columns);
  for_rows_together(problem, [&](std::int64_t first, std::int64_t rows) {
    check_stop(problem);
    const auto at = static_cast<std::size_t>(first) * k, size = static_cast<std::size_t>(rows) * k;
    std::vector<float> values(start.values.begin() + static_cast<std::ptrdiff_t>(at),
                              start.values.begin() + static_cast<std::ptrdiff_t>(at + size));
    std::vector<float> half(size);
    loss.half_gradient(first, values, half);
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto row = static_cast<std::size_t>(r) * k;
      RowSearch search(problem, first + r, searched.grid, std::span(values).subspan(row, k),
                       std::span(half).subspan(row, k));
      for (std::size_t c = 0, end = 0; c < k; c = end) {
        while (end < k && problem.grid.group_of[end] == problem.grid.group_of[c]) ++end;
        search.part(c, end);
      }
    }
  });
  return accepted(problem, loss, round_nearest(searched));
}

}  // namespace bitplan
