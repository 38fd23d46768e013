#pragma once

#include "quant/roundings/layer_loss.hpp"
#include "quant/roundings/rounding_problem.hpp"

namespace bitplan {

/// The values that the weights of one row may take.
class RowLevels {
 public:
  virtual ~RowLevels() = default;
  virtual std::int32_t nearest(std::int64_t column, float x) const = 0;  ///< the code of the level nearest to x
  virtual float value(std::int64_t column, std::int32_t code) const = 0;
};

/// Coordinate descent on codes: QuantEase, Behdin et al. 2023, arXiv:2309.01885. L is a parabola in each weight alone,
///
///   L(w'_j + t) - L(w'_j) = 2 t g_j + t^2 G_jj,   g = e G + d,   least at t = -g_j / G_jj
///
/// so the best code of a weight, all others fixed, is the one nearest to w'_j - g_j / G_jj. Weights in the order of the
/// columns, over and over, until a pass changes nothing or `passes` are done; each change lowers L. A pass costs
/// columns operations for each change of a code, rows * columns otherwise. A weight whose channel is dead (G_jj = 0)
/// stays.
///
/// One row: half is g for `values` and stays so.
void descend_row(const RoundingProblem& problem, const RowLevels& levels, std::span<std::int16_t> codes,
                 std::span<float> values, std::span<float> half, int passes = 20);
/// All rows on the grid of `start`.
RoundedWeight descend(const RoundingProblem& problem, const LayerLoss& loss, RoundedWeight start, int passes = 20);
/// From nearest rounding; the result's losses filled in. Throws InputError for non-finite input.
RoundedWeight round_descent(const RoundingProblem& problem);

}  // namespace bitplan
