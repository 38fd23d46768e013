#include "quant/math/cholesky.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cassert>

#include "core/parallel_chunks.hpp"
#include "quant/math/matmul.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kBlock = 128, kChunk = 64;

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Part = Eigen::Map<Matrix, 0, Eigen::OuterStride<>>;

/// A square row-major matrix that becomes L in its lower triangle, block column by block column.
struct Factor {
  double* data;
  std::int64_t n;
  int threads;
  std::vector<Matrix> inverses{};  ///< of L's blocks on the diagonal

  double* at(std::int64_t r, std::int64_t c) const { return data + r * n + c; }
  std::int64_t width(std::int64_t j) const { return std::min(kBlock, n - j); }
  /// body(first, rows) for the rows begin ... end - 1, a chunk at a time.
  template <class Body>
  void for_chunks(std::int64_t begin, std::int64_t end, const Body& body) const {
    parallel_chunks(end - begin, kChunk, threads,
                    [&](std::int64_t first, std::int64_t rows, int) { body(begin + first, rows); });
  }

  /// Left-looking. False when a pivot is not positive.
  bool run() {
    for (std::int64_t j = 0; j < n; j += kBlock) {
      const PackedMatrix<double> left({at(j, 0), 1, n}, j, width(j));
      const auto subtract = [&](std::int64_t r, std::int64_t rows) {
        add_product(-1.0, {at(r, 0), n, 1}, rows, left, at(r, j), n);
      };
      for_chunks(j, j + width(j), subtract);
      if (!factor_diagonal(j)) return false;
      const PackedMatrix<double> inverse({inverses.back().data(), 1, width(j)}, width(j), width(j));
      const PackedMatrix<double> lower({at(j, j), 1, n}, width(j), width(j));
      for_chunks(j + width(j), n, [&](std::int64_t r, std::int64_t rows) {
        subtract(r, rows);
        Part part(at(r, j), rows, width(j), Eigen::OuterStride<>(n));
        const Matrix unsolved = part;
        part.setZero();
        add_product(1.0, {unsolved.data(), width(j), 1}, rows, inverse, part.data(), n);
        // One step of refinement: as exact as substitution where the block's inverse alone loses two digits.
        Matrix rest = unsolved;
        add_product(-1.0, {part.data(), n, 1}, rows, lower, rest.data(), width(j));
        add_product(1.0, {rest.data(), width(j), 1}, rows, inverse, part.data(), n);
      });
    }
    return true;
  }

  bool factor_diagonal(std::int64_t j) {
    Part part(at(j, j), width(j), width(j), Eigen::OuterStride<>(n));
    const Eigen::LLT<Matrix> llt{Matrix(part)};
    const Matrix lower = llt.matrixL();
    if (llt.info() != Eigen::Success || !lower.allFinite()) return false;
    part = lower;
    inverses.push_back(lower.triangularView<Eigen::Lower>().solve(Matrix::Identity(width(j), width(j))));
    return inverses.back().allFinite();
  }

  /// x [n - j, width] = the columns j ... of L^-1, from row j on, by forward substitution.
  void inverse_columns(std::int64_t j, Matrix& x) const {
    x.setZero(n - j, width(j));
    x.topRows(width(j)) = inverses[static_cast<std::size_t>(j / kBlock)];
    for (std::int64_t i = j + kBlock; i < n; i += kBlock) {
      const PackedMatrix<double> solved({x.row(i - kBlock - j).data(), width(j), 1}, kBlock, width(j));
      for (std::int64_t r = i; r < n; r += kBlock)
        add_product(-1.0, {at(r, i - kBlock), n, 1}, width(r), solved, x.row(r - j).data(), width(j));
      const PackedMatrix<double> unsolved({x.row(i - j).data(), width(j), 1}, width(i), width(j));
      x.middleRows(i - j, width(i)).setZero();
      add_product(1.0, {inverses[static_cast<std::size_t>(i / kBlock)].data(), width(i), 1}, width(i), unsolved,
                  x.row(i - j).data(), width(j));
    }
  }
};

}  // namespace

std::optional<std::vector<float>> inverse_cholesky_upper(std::vector<double> h, std::int64_t n, int threads) {
  assert(static_cast<std::int64_t>(h.size()) == n * n);
  std::reverse(h.begin(), h.end());  // J H J, since element (r, c) stands at r n + c
  Factor factor{h.data(), n, threads};
  if (!factor.run()) return std::nullopt;
  std::vector<float> upper(h.size());
  std::vector<Matrix> columns(static_cast<std::size_t>(threads > 0 ? threads : default_threads()));
  parallel_chunks(n, kBlock, threads, [&](std::int64_t j, std::int64_t width, int worker) {
    Matrix& x = columns[static_cast<std::size_t>(worker)];
    factor.inverse_columns(j, x);
    for (std::int64_t r = j; r < n; ++r)
      for (std::int64_t c = j; c < j + width; ++c)
        upper[static_cast<std::size_t>((n - 1 - r) * n + n - 1 - c)] = static_cast<float>(x(r - j, c - j));
  });
  return upper;
}

}  // namespace bitplan
