#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitplan {

/// Second moments of a layer's inputs: what every Hessian or learned rounding needs of the data.
///
///   gram  = 1/m sum_t xq_t xq_t^T                  [k, k]     (the GPTQ Hessian is 2 gram)
///   cross = 1/m sum_t xq_t x_t^T                   [k, k]     x: inputs of the float network, xq: of the quantized one
///   mean  = 1/m sum_t xq_t                         [k]
///
/// Rows are samples: tokens of a linear layer, im2col patches of a convolution (one accumulator a group of a grouped
/// one). Rows are summed in float over runs of at most 256, the runs in double, in the order of the calls.
/// Memory 8 k^2 bytes (16 k^2 with cross moments); m k^2 operations.
class GramAccumulator {
 public:
  explicit GramAccumulator(std::int64_t columns, bool with_cross = false, int threads = 0);
  /// rows [m, k]. Throws InputError on NaN or infinite values.
  void add(std::span<const float> rows);
  /// quantized and reference inputs of the same samples, [m, k] each.
  void add(std::span<const float> quantized, std::span<const float> reference);
  /// Adds another's samples after ours.
  void merge(const GramAccumulator& other);

  std::int64_t count() const { return count_; }
  std::vector<float> gram() const { return scaled(gram_); }
  std::vector<float> cross() const { return scaled(cross_); }
  std::vector<float> mean() const { return scaled(sum_); }

 private:
  std::vector<float> scaled(const std::vector<double>& sums) const;

  std::int64_t columns_, count_ = 0;
  int threads_;
  std::vector<double> gram_, cross_, sum_;
};

}  // namespace bitplan
