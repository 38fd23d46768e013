#include "quant/refit.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "quant/layer_loss.hpp"
#include "quant/matmul.hpp"

namespace bitplan {
namespace {

using Storable = std::function<float(double)>;

/// Columns first … last - 1.
struct Part {
  std::int64_t first, last;
};

std::vector<Part> parts_of(const RoundingGrid& grid) {
  std::vector<Part> parts;
  for (std::int64_t c = 0; c < std::ssize(grid.group_of); ++c)
    if (c == 0 || grid.group_of[static_cast<std::size_t>(c)] != grid.group_of[static_cast<std::size_t>(c - 1)])
      parts.push_back({c, c + 1});
    else
      parts.back().last = c + 1;
  assert(std::ssize(parts) == grid.groups);
  return parts;
}

double dot(const float* a, const float* b, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

/// The normal equations of a few rows, and their solution.
class RowsFit {
 public:
  RowsFit(const RoundingProblem& problem, const std::vector<Part>& parts,
          const std::vector<PackedMatrix<float>>& slices, const Storable& storable)
      : problem_(problem), parts_(parts), slices_(slices), storable_(storable), per_part_(storable ? 2 : 1) {}

  /// Changes grid for the rows; `half` their half gradient.
  void run(std::int64_t first, std::int64_t rows, const RoundedWeight& weight, std::span<const float> half,
           RoundingGrid& grid) const {
    const std::int64_t k = problem_.columns, basis = rows * per_part_;
    const std::ptrdiff_t unknowns = std::ssize(parts_) * per_part_;
    std::vector<Eigen::MatrixXd> normal(static_cast<std::size_t>(rows), Eigen::MatrixXd::Zero(unknowns, unknowns));
    std::vector<float> b(static_cast<std::size_t>(basis * k)), product(b.size());
    fill_basis(first, rows, weight, b);
    for (std::size_t p = 0; p < parts_.size(); ++p) {
      std::ranges::fill(product, 0.0F);
      add_product(1.0F, {b.data() + parts_[p].first, k, 1}, basis, slices_[p], product.data(), k);
      for (std::int64_t r = 0; r < rows; ++r) add_equations(r, p, b, product, normal[static_cast<std::size_t>(r)]);
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      Eigen::VectorXd right(unknowns);
      for (std::ptrdiff_t i = 0; i < unknowns; ++i) {
        const Part& part = parts_[static_cast<std::size_t>(i / per_part_)];
        right[i] = -dot(b.data() + row_of(r, i % per_part_) * k + part.first, half.data() + r * k + part.first,
                        part.last - part.first);
      }
      take(first + r, solve(normal[static_cast<std::size_t>(r)], right), grid);
    }
  }

 private:
  std::int64_t row_of(std::int64_t r, std::int64_t which) const { return r * per_part_ + which; }

  /// All u_p of a row as one row, since they do not overlap; and all -v_p.
  void fill_basis(std::int64_t first, std::int64_t rows, const RoundedWeight& weight, std::vector<float>& b) const {
    const std::int64_t k = problem_.columns;
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < k; ++c) {
        const auto code = static_cast<float>(weight.codes[static_cast<std::size_t>((first + r) * k + c)]);
        b[static_cast<std::size_t>(row_of(r, 0) * k + c)] =
            code - weight.grid.zero_points[weight.grid.part(first + r, c)];
        if (per_part_ == 2) b[static_cast<std::size_t>(row_of(r, 1) * k + c)] = -1;
      }
  }

  /// Rows p of B G B^T: the basis of part p times G stands in `product`.
  void add_equations(std::int64_t r, std::size_t p, const std::vector<float>& b, const std::vector<float>& product,
                     Eigen::MatrixXd& normal) const {
    const std::int64_t k = problem_.columns;
    for (std::int64_t i = 0; i < per_part_; ++i)
      for (std::size_t other = 0; other < parts_.size(); ++other)
        for (std::int64_t j = 0; j < per_part_; ++j) {
          const Part& part = parts_[other];
          normal(static_cast<std::ptrdiff_t>(p) * per_part_ + i, static_cast<std::ptrdiff_t>(other) * per_part_ + j) =
              dot(product.data() + row_of(r, i) * k + part.first, b.data() + row_of(r, j) * k + part.first,
                  part.last - part.first);
        }
  }

  static Eigen::VectorXd solve(Eigen::MatrixXd& normal, const Eigen::VectorXd& right) {
    constexpr double kAdded = 1e-6;
    for (std::ptrdiff_t i = 0; i < right.size(); ++i) normal(i, i) = normal(i, i) > 0 ? normal(i, i) * (1 + kAdded) : 1;
    return normal.ldlt().solve(right);
  }

  void take(std::int64_t row, const Eigen::VectorXd& step, RoundingGrid& grid) const {
    RoundingGrid next = {};
    next.scales.resize(parts_.size()), next.zero_points.resize(parts_.size());
    const std::size_t at = static_cast<std::size_t>(row) * parts_.size();
    for (std::size_t p = 0; p < parts_.size(); ++p) {
      const auto i = static_cast<std::ptrdiff_t>(p) * per_part_;
      const double scale = static_cast<double>(grid.scales[at + p]) + step[i];
      next.scales[p] = static_cast<float>(scale);
      next.zero_points[p] = per_part_ == 2 ? storable_(static_cast<double>(grid.zero_points[at + p]) + step[i + 1] / scale)
                                           : grid.zero_points[at + p];
      if (!(next.scales[p] > 0) || !std::isnormal(next.scales[p]) || !std::isfinite(1 / next.scales[p]) ||
          !std::isfinite(next.zero_points[p]))
        return;
    }
    std::ranges::copy(next.scales, grid.scales.begin() + static_cast<std::ptrdiff_t>(at));
    std::ranges::copy(next.zero_points, grid.zero_points.begin() + static_cast<std::ptrdiff_t>(at));
  }

  const RoundingProblem& problem_;
  const std::vector<Part>& parts_;
  const std::vector<PackedMatrix<float>>& slices_;
  const Storable& storable_;
  std::int64_t per_part_;  ///< unknowns
};

/// The grid after one step; `storable` empty: scales alone.
RoundingGrid step(const RoundingProblem& problem, const RoundedWeight& weight, const Storable& storable) {
  assert(!problem.gram.empty());
  const std::int64_t k = problem.columns;
  const std::vector<Part> parts = parts_of(weight.grid);
  std::vector<PackedMatrix<float>> slices;  // rows of G, by part
  for (const Part& part : parts)
    slices.emplace_back(MatrixView<float>{problem.gram.data() + part.first * k, k, 1}, part.last - part.first, k);
  const LayerLoss loss(problem);
  const RowsFit fit(problem, parts, slices, storable);
  RoundingGrid grid = weight.grid;
  for_rows_together(problem, [&](std::int64_t first, std::int64_t rows) {
    const auto values = std::span<const float>(weight.values)
                            .subspan(static_cast<std::size_t>(first * k), static_cast<std::size_t>(rows * k));
    std::vector<float> half(values.size());
    loss.half_gradient(first, values, half);
    fit.run(first, rows, weight, half, grid);
  });
  return grid;
}

}  // namespace

RoundedWeight refit_scales(const RoundingProblem& problem, const RoundedWeight& weight) {
  if (problem.weights.empty()) return weight;
  return better_rows(problem, weight, rounded(problem, step(problem, weight, {}), weight.codes));
}

RoundedWeight refit_zero_points(const RoundingProblem& problem, const RoundedWeight& weight, const Storable& storable) {
  if (problem.weights.empty()) return weight;
  const RoundedWeight moved = rounded(problem, step(problem, weight, storable), weight.codes);
  const RoundedWeight scaled = rounded(problem, step(problem, moved, {}), weight.codes);
  return better_rows(problem, weight, better_rows(problem, moved, scaled));
}

}  // namespace bitplan
