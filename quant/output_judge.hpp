#pragma once

#include <memory>
#include <span>
#include <vector>

#include "quant/layer_rows.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// Mean squared output errors of a channel, less what does not depend on its values: L of rounding_problem.hpp.
struct RowError {
  double plain = 0;
  double weighted = 0;      ///< by the tokens' weights (token_weights.hpp); 0 where there are none
  double without_bias = 0;  ///< the plain one of the values alone
  double unknown = 0;       ///< by how much float32 may be wrong in the plain one; 0 of moments about 0
};

/// The output errors of a layer's channels. Of moments about the means they are those with the bias that the channel is
/// given (empirical_bias, layer_error.hpp). With y the output's difference, m its plain and a its weighted mean, and b
/// the bias, which is a held by m, the moments give the mean square about a, and
///
///   E (y - b)^2 = E (y - a)^2 + (b - a) (b + a - 2 m)
///
/// and alike the weighted error, for which m is a, and the one without a bias, for which b is 0.
///
/// Of inputs that move little beside their means, moments about these are differences of nearly equal numbers. With
/// |v|^2 = sum_c v_c^2 E x_c^2 and e the row's w' - w, what the rounding of G (and of C) to float32 leaves unknown is
/// about 2^-21 |e|^2 (2^-21 |e| (|e| + 2 |w|) where inputs drift).
///
/// Packs each G once; the layer must outlive it, its moments must be there.
class OutputJudge {
 public:
  explicit OutputJudge(const LayerRows& layer);
  /// By row, of values [groups * rows, columns]: O(values * columns). Throws InputError when one overflows.
  std::vector<RowError> errors(const std::vector<float>& values) const;

 private:
  struct Group;
  std::vector<RowError> errors(std::int64_t group, const std::vector<float>& values) const;

  const LayerRows& layer_;
  std::vector<std::shared_ptr<const Group>> groups_;
};

/// A quantized weight with its arrays by row and what its values are worth.
struct JudgedWeight {
  QuantizedWeight weight;
  std::vector<RowError> errors;
};

/// Each row of `now` where neither its plain nor its weighted error is larger than in `kept`, the plain one by all that
/// is known. Where rows of the two cannot stand in one weight, since a scale is that of all rows or columns are scaled
/// in other ways, all of them if the sum of plain errors is not larger.
void take_better(JudgedWeight& kept, const JudgedWeight& now);
/// Each row of `other` where the error of `kept` is larger than that of `other` without a bias; all of them, by the
/// sums, where rows cannot be mixed.
void hold_below(JudgedWeight& kept, const JudgedWeight& other);

}  // namespace bitplan
