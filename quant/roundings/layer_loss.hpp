#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "quant/math/matmul.hpp"
#include "quant/roundings/rounding_problem.hpp"

namespace bitplan {

/// L and its gradient for a problem with moments (rounding_problem.hpp). G is packed once, so that an optimiser may ask
/// for a few rows at a time, from several threads. rows * columns^2 multiply-adds a call, in float; sums in double.
class LayerLoss {
 public:
  explicit LayerLoss(const RoundingProblem& problem);

  /// half = e G + d, half of dL/dw', for the rows first … first + n - 1, values and half being [n, columns].
  void half_gradient(std::int64_t first, std::span<const float> values, std::span<float> half) const;
  /// The same, of errors e = values - weights.
  void half_gradient_of_errors(std::int64_t first, std::span<const float> errors, std::span<float> half) const;
  /// L of one row, given its half gradient: e (half + d)^T.
  double of_row(std::int64_t row, std::span<const float> values, std::span<const float> half) const;
  /// L by row, of values [rows, columns]. G is symmetric: only blocks on and above its diagonal are multiplied, half of
  /// the operations. Throws InputError when one overflows.
  std::vector<double> of_rows(std::span<const float> values) const;
  double of(std::span<const float> values) const;  ///< their sum

  /// d [rows, columns]; empty when the inputs are the float network's.
  std::span<const float> drift() const { return drift_; }

 private:
  const RoundingProblem& problem_;
  PackedMatrix<float> gram_;
  std::vector<float> drift_;
};

/// Rows that optimisers take together: enough that a product runs at full speed, few enough for all threads.
inline constexpr std::int64_t kRowsTogether = 16;

/// Calls body(first, rows) for all rows of the problem, at most kRowsTogether at a time, on its threads.
void for_rows_together(const RoundingProblem& problem,
                       const std::function<void(std::int64_t first, std::int64_t rows)>& body);

}  // namespace bitplan
