#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "quant/moments/gram.hpp"
#include "quant/moments/input_moments.hpp"

namespace bitplan {

/// The median u of |x_t|^2 over rows [m, columns] where their mean is more than twice that: a few tokens have most of
/// the energy ("massive activations", Sun et al. 2024, arXiv:2402.17762). None otherwise, and where u is 0. O(m k).
std::optional<double> usual_energy(std::span<const float> rows, std::int64_t columns);

/// Second moments of a layer's inputs in which no token counts more than a usual one:
///
///   w_t = min(1, u / |x_t|^2)
///
/// with u the usual energy, x_t the token in the float network (xq_t where that is not run: pass sequential),
///
///   gram  = sum_t w_t xq_t xq_t^T / sum_t w_t         mean = sum_t w_t xq_t / sum_t w_t
///   cross = sum_t w_t xq_t  x_t^T / sum_t w_t         float_mean = sum_t w_t x_t / sum_t w_t
///
/// With them e G e^T is, for tokens of more than the usual energy, the squared output error relative to |x_t|^2, as
/// Huber's weights (Huber 1964) make of large residuals. Why: a huge token makes the residual stream huge where it
/// stands, and the normalisation behind divides its error by that, while the plain mean squared error leaves nothing
/// for all other tokens: in ViT-Tiny's block 7 one token in a hundred has 90 % of the energy.
///
/// Rows that are given together do not matter but for the last digits; results do not depend on threads. Cost and
/// memory of a GramAccumulator.
class WeightedMoments {
 public:
  WeightedMoments(double usual, std::int64_t columns, bool with_cross, int threads,
                  TransposedProduct product = transposed_product);
  /// Rows [m, k] of finite values, of the float and of the quantized network (empty: the same). Both are scaled by
  /// sqrt(w_t) in place.
  void add(std::span<float> x, std::span<float> quantized);
  /// With gram, cross where asked for, and both means; one group. At least one row must have been added.
  LayerMoments finish() const;

 private:
  double scale_row(std::span<float> x, std::span<float> quantized);

  double usual_, weights_ = 0;
  std::int64_t columns_;
  bool cross_;
  GramAccumulator sums_;
  std::vector<double> mean_, float_mean_;  ///< sum_t w_t xq_t, sum_t w_t x_t
};

}  // namespace bitplan
