#include "quant/cholesky.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/parallel.hpp"
#include "quant/matmul.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kBlock = 128, kChunk = 64;

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Part = Eigen::Map<Matrix, 0, Eigen::OuterStride<>>;

/// A square row-major matrix.
struct Square {
  double* data;
  std::int64_t n;
  double* at(std::int64_t r, std::int64_t c) const { return data + r * n + c; }
  Part part(std::int64_t r, std::int64_t c, std::int64_t rows, std::int64_t columns) const {
    return Part(at(r, c), rows, columns, Eigen::OuterStride<>(n));
  }
};

std::size_t chunks_of(std::int64_t rows, std::int64_t size) {
  return static_cast<std::size_t>((rows + size - 1) / size);
}

/// a becomes L in its lower triangle (left-looking). False when a pivot is not positive.
bool factor(const Square& a, int threads) {
  for (std::int64_t j = 0; j < a.n; j += kBlock) {
    const std::int64_t width = std::min(kBlock, a.n - j);
    const PackedMatrix<double> left({a.at(j, 0), 1, a.n}, j, width);
    parallel_for(chunks_of(a.n - j, kChunk), threads, [&](std::size_t chunk, int) {
      const std::int64_t r = j + static_cast<std::int64_t>(chunk) * kChunk;
      add_product(-1.0, {a.at(r, 0), a.n, 1}, std::min(kChunk, a.n - r), left, a.at(r, j), a.n);
    });
    const Eigen::LLT<Matrix> diagonal(Matrix(a.part(j, j, width, width)));
    const Matrix lower = diagonal.matrixL();
    if (diagonal.info() != Eigen::Success || !lower.allFinite()) return false;
    a.part(j, j, width, width) = lower;
    parallel_for(chunks_of(a.n - j - width, kChunk), threads, [&](std::size_t chunk, int) {
      const std::int64_t r = j + width + static_cast<std::int64_t>(chunk) * kChunk;
      Part rows = a.part(r, j, std::min(kChunk, a.n - r), width);
      lower.transpose().triangularView<Eigen::Upper>().solveInPlace<Eigen::OnTheRight>(rows);
    });
  }
  return true;
}

/// x = L^-1: each block of columns by forward substitution, alone.
void invert_lower(const Square& l, const Square& x, int threads) {
  parallel_for(chunks_of(l.n, kBlock), threads, [&](std::size_t block, int) {
    const std::int64_t j = static_cast<std::int64_t>(block) * kBlock, width = std::min(kBlock, l.n - j);
    x.part(j, j, width, width).setIdentity();
    for (std::int64_t i = j; i < l.n; i += kBlock) {
      const std::int64_t rows = std::min(kBlock, l.n - i);
      if (i > j) {
        const PackedMatrix<double> above({x.at(j, j), l.n, 1}, i - j, width);
        add_product(-1.0, {l.at(i, j), l.n, 1}, rows, above, x.at(i, j), l.n);
      }
      Part solved = x.part(i, j, rows, width);
      l.part(i, i, rows, rows).triangularView<Eigen::Lower>().solveInPlace(solved);
    }
  });
}

}  // namespace

std::optional<std::vector<float>> inverse_cholesky_upper(std::span<const double> h, std::int64_t n, int threads) {
  assert(static_cast<std::int64_t>(h.size()) == n * n);
  std::vector<double> reversed(h.rbegin(), h.rend());  // J H J, since element (r, c) stands at r n + c
  const Square a{reversed.data(), n};
  if (!factor(a, threads)) return std::nullopt;
  std::vector<double> inverse(h.size());
  invert_lower(a, {inverse.data(), n}, threads);
  std::vector<float> upper(h.size());
  std::transform(inverse.rbegin(), inverse.rend(), upper.begin(), [](double v) { return static_cast<float>(v); });
  return upper;
}

}  // namespace bitplan
