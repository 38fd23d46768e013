#include "quant/roundings/refit.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cassert>
#include <cmath>
#include <optional>
#include <vector>

#include "quant/math/matmul.hpp"
#include "quant/roundings/layer_loss.hpp"

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

/// Neighbouring parts that are solved together, and what G says of them.
struct Block {
  std::size_t first_part, last_part;
  std::int64_t first, last;                   ///< columns
  std::vector<PackedMatrix<float>> own;       ///< by part: its rows of G, the block's columns
  std::optional<PackedMatrix<float>> others;  ///< the block's rows of G; none behind the last block
  std::int64_t width() const { return last - first; }
};

std::vector<Block> blocks_of(const RoundingProblem& problem, const std::vector<Part>& parts, std::size_t together) {
  const std::int64_t k = problem.columns;
  std::vector<Block> blocks;
  for (std::size_t p = 0; p < parts.size(); p += together) {
    const std::size_t end = std::min(parts.size(), p + together);
    Block block{p, end, parts[p].first, parts[end - 1].last, {}, {}};
    for (std::size_t i = p; i < end; ++i)
      block.own.emplace_back(MatrixView<float>{problem.gram.data() + parts[i].first * k + block.first, k, 1},
                             parts[i].last - parts[i].first, block.width());
    if (end < parts.size())
      block.others.emplace(MatrixView<float>{problem.gram.data() + block.first * k, k, 1}, block.width(), k);
    blocks.push_back(std::move(block));
  }
  return blocks;
}

/// The normal equations of a few rows in one block, and their solution.
class RowsFit {
 public:
  RowsFit(const RoundingProblem& problem, const std::vector<Part>& parts, const Storable& storable)
      : problem_(problem), parts_(parts), storable_(storable), per_part_(storable ? 2 : 1) {}

  /// Changes grid for the rows and the half gradient, [rows, columns], with it.
  void run(const Block& block, std::int64_t first, std::int64_t rows, const RoundedWeight& weight,
           std::span<float> half, RoundingGrid& grid) const {
    const std::int64_t k = problem_.columns, width = block.width(), basis = rows * per_part_;
    const auto unknowns = static_cast<std::ptrdiff_t>(block.last_part - block.first_part) * per_part_;
    std::vector<Eigen::MatrixXd> normal(static_cast<std::size_t>(rows), Eigen::MatrixXd::Zero(unknowns, unknowns));
    std::vector<float> b(static_cast<std::size_t>(basis * width)), product(b.size());
    fill_basis(block, first, rows, weight, b);
    for (std::size_t p = block.first_part; p < block.last_part; ++p) {
      std::ranges::fill(product, 0.0F);
      add_product(1.0F, {b.data() + parts_[p].first - block.first, width, 1}, basis, block.own[p - block.first_part],
                  product.data(), width);
      for (std::int64_t r = 0; r < rows; ++r)
        add_equations(block, r, p, b, product, normal[static_cast<std::size_t>(r)]);
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      Eigen::VectorXd right(unknowns);
      for (std::ptrdiff_t i = 0; i < unknowns; ++i) {
        const Part& part = parts_[block.first_part + static_cast<std::size_t>(i / per_part_)];
        right[i] = -dot(b.data() + row_of(r, i % per_part_) * width + part.first - block.first,
                        half.data() + r * k + part.first, part.last - part.first);
      }
      take(block, first + r, solve(normal[static_cast<std::size_t>(r)], right), grid);
    }
    if (block.others) pass_on(block, first, rows, weight, half, grid);
  }

 private:
  std::int64_t row_of(std::int64_t r, std::int64_t which) const { return r * per_part_ + which; }

  /// All u_p of a row as one row, since they do not overlap; and all -v_p.
  void fill_basis(const Block& block, std::int64_t first, std::int64_t rows, const RoundedWeight& weight,
                  std::vector<float>& b) const {
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < block.width(); ++c) {
        const auto code = static_cast<float>(
            weight.codes[static_cast<std::size_t>((first + r) * problem_.columns + block.first + c)]);
        b[static_cast<std::size_t>(row_of(r, 0) * block.width() + c)] =
            code - weight.grid.zero_points[weight.grid.part(first + r, block.first + c)];
        if (per_part_ == 2) b[static_cast<std::size_t>(row_of(r, 1) * block.width() + c)] = -1;
      }
  }

  /// Rows p of B G B^T: the basis of part p times G stands in `product`.
  void add_equations(const Block& block, std::int64_t r, std::size_t p, const std::vector<float>& b,
                     const std::vector<float>& product, Eigen::MatrixXd& normal) const {
    const auto at = [&](std::size_t part, std::int64_t i) {
      return static_cast<std::ptrdiff_t>(part - block.first_part) * per_part_ + i;
    };
    for (std::int64_t i = 0; i < per_part_; ++i)
      for (std::size_t other = block.first_part; other < block.last_part; ++other)
        for (std::int64_t j = 0; j < per_part_; ++j) {
          const std::int64_t from = parts_[other].first - block.first;
          normal(at(p, i), at(other, j)) =
              dot(product.data() + row_of(r, i) * block.width() + from, b.data() + row_of(r, j) * block.width() + from,
                  parts_[other].last - parts_[other].first);
        }
  }

  static Eigen::VectorXd solve(Eigen::MatrixXd& normal, const Eigen::VectorXd& right) {
    constexpr double kAdded = 1e-6;
    for (std::ptrdiff_t i = 0; i < right.size(); ++i) normal(i, i) = normal(i, i) > 0 ? normal(i, i) * (1 + kAdded) : 1;
    return normal.ldlt().solve(right);
  }

  void take(const Block& block, std::int64_t row, const Eigen::VectorXd& step, RoundingGrid& grid) const {
    const std::size_t parts = block.last_part - block.first_part;
    const std::size_t at = static_cast<std::size_t>(row) * parts_.size() + block.first_part;
    std::vector<float> scales(parts), zeros(parts);
    for (std::size_t p = 0; p < parts; ++p) {
      const auto i = static_cast<std::ptrdiff_t>(p) * per_part_;
      const double scale = static_cast<double>(grid.scales[at + p]) + step[i];
      scales[p] = static_cast<float>(scale);
      zeros[p] = per_part_ == 2 ? storable_(static_cast<double>(grid.zero_points[at + p]) + step[i + 1] / scale)
                                : grid.zero_points[at + p];
      if (!(scales[p] > 0) || !std::isnormal(scales[p]) || !std::isfinite(1 / scales[p]) || !std::isfinite(zeros[p]))
        return;
    }
    std::ranges::copy(scales, grid.scales.begin() + static_cast<std::ptrdiff_t>(at));
    std::ranges::copy(zeros, grid.zero_points.begin() + static_cast<std::ptrdiff_t>(at));
  }

  /// The half gradient as the values of this block have become.
  void pass_on(const Block& block, std::int64_t first, std::int64_t rows, const RoundedWeight& weight,
               std::span<float> half, const RoundingGrid& grid) const {
    const std::int64_t k = problem_.columns;
    std::vector<float> change(static_cast<std::size_t>(rows * block.width()));
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < block.width(); ++c) {
        const auto i = static_cast<std::size_t>((first + r) * k + block.first + c);
        const std::size_t part = grid.part(first + r, block.first + c);
        change[static_cast<std::size_t>(r * block.width() + c)] = grid.value(part, weight.codes[i]) - weight.values[i];
      }
    add_product(1.0F, {change.data(), block.width(), 1}, rows, *block.others, half.data(), k);
  }

  const RoundingProblem& problem_;
  const std::vector<Part>& parts_;
  const Storable& storable_;
  std::int64_t per_part_;  ///< unknowns
};

/// The grid after one step; `storable` empty: scales alone.
RoundingGrid step(const RoundingProblem& problem, const LayerLoss& loss, const RoundedWeight& weight,
                  const Storable& storable) {
  assert(!problem.gram.empty());
  constexpr std::size_t kUnknowns = 256;
  const std::int64_t k = problem.columns;
  const std::vector<Part> parts = parts_of(weight.grid);
  const std::vector<Block> blocks = blocks_of(problem, parts, storable ? kUnknowns / 2 : kUnknowns);
  const RowsFit fit(problem, parts, storable);
  RoundingGrid grid = weight.grid;
  for_rows_together(problem, [&](std::int64_t first, std::int64_t rows) {
    check_stop(problem);
    const auto values = std::span<const float>(weight.values)
                            .subspan(static_cast<std::size_t>(first * k), static_cast<std::size_t>(rows * k));
    std::vector<float> half(values.size());
    loss.half_gradient(first, values, half);
    for (const Block& block : blocks) fit.run(block, first, rows, weight, half, grid);
  });
  return grid;
}

}  // namespace

RoundedWeight refit_scales(const RoundingProblem& problem, const RoundedWeight& weight) {
  if (problem.weights.empty()) return weight;
  const LayerLoss loss(problem);
  return better_rows(problem, loss, weight, rounded(problem, step(problem, loss, weight, {}), weight.codes));
}

RoundedWeight refit_zero_points(const RoundingProblem& problem, const RoundedWeight& weight, const Storable& storable) {
  if (problem.weights.empty()) return weight;
  const LayerLoss loss(problem);
  const RoundedWeight moved = rounded(problem, step(problem, loss, weight, storable), weight.codes);
  const RoundedWeight scaled = rounded(problem, step(problem, loss, moved, {}), weight.codes);
  return better_rows(problem, loss, weight, better_rows(problem, loss, moved, scaled));
}

}  // namespace bitplan
