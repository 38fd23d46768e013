#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitplan {

/// sums [m, n] += L^T R of `rows` rows: row r of L is left[r * stride + 0 … m-1], of R right[r * stride + 0 … n-1].
/// m and n are at most GramAccumulator::kTile, rows GramAccumulator::kRun.
using TransposedProduct = void (*)(std::int64_t rows, std::int64_t stride, const float* left, std::int64_t m,
                                   const float* right, std::int64_t n, double* sums);
/// With quant/math/matmul.hpp, in double throughout: the order of GPTQ's channels hangs on the last bits of their
/// energies, and ties in it that float sums break decide codes. Equal bits on each instruction set.
void transposed_product(std::int64_t rows, std::int64_t stride, const float* left, std::int64_t m, const float* right,
                        std::int64_t n, double* sums);

/// Second moments of a layer's inputs: what every Hessian or learned rounding needs of the data.
///
///   gram  = 1/m sum_t xq_t xq_t^T                  [k, k]     (the GPTQ Hessian is 2 gram)
///   cross = 1/m sum_t xq_t x_t^T                   [k, k]     x: inputs of the float network, xq: of the quantized one
///   mean  = 1/m sum_t xq_t                         [k]
///
/// Rows are samples: tokens of a linear layer, im2col patches of a convolution (one accumulator a group of a grouped
/// one). Rows are multiplied in runs of at most 1024 by `product` and summed in double, in the order of the calls. The
/// matrix is cut into square tiles of at most kTile columns, each computed by one thread, those below the diagonal of
/// gram not at all: results do not depend on the number of threads. Memory 4 k^2 bytes (12 k^2 with cross moments); m
/// k^2 / 2 multiply-adds (3/2 m k^2), the diagonal's tiles being whole.
class GramAccumulator {
 public:
  static constexpr std::int64_t kTile = 96, kRun = 1024;

  explicit GramAccumulator(std::int64_t columns, bool with_cross = false, int threads = 0,
                           TransposedProduct product = transposed_product);
  /// rows [m, k]. Throws InputError on NaN or infinite values.
  void add(std::span<const float> rows);
  /// quantized and reference inputs of the same samples, [m, k] each.
  void add(std::span<const float> quantized, std::span<const float> reference);
  /// Adds another's samples after ours.
  void merge(const GramAccumulator& other);

  std::int64_t count() const { return count_; }
  std::vector<float> gram() const;
  std::vector<float> cross() const;
  std::vector<float> mean() const;

 private:
  struct Tile {
    std::int64_t row, column, rows, columns;
    std::size_t offset;  ///< of its sums
  };
  std::vector<Tile> cut(bool upper) const;
  void check(std::span<const float> rows) const;
  void add_all(const float* left, const float* right, std::int64_t rows);
  void add_tile(const float* left, const float* right, std::int64_t rows, const Tile& tile, double* sums) const;
  void add_sums(const float* rows, std::int64_t count, const Tile& tile);
  void require_samples() const;

  std::int64_t columns_, count_ = 0;
  int threads_;
  TransposedProduct product_;
  std::vector<Tile> gram_tiles_, cross_tiles_;  ///< gram's: on and above the diagonal
  std::vector<double> gram_, cross_, sum_;
};

}  // namespace bitplan
