#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace bitplan {

/// The values a weight [rows, columns] may take: x' = s (q - z), q_min <= q <= q_max, with a scale and a zero point for
/// each row and group of columns. Zero points may lie between codes (HQQ).
struct RoundingGrid {
  std::int32_t q_min = -8, q_max = 7;
  std::int64_t groups = 1;             ///< a row's
  std::vector<std::int32_t> group_of;  ///< by column; GPTQ with activation order may scatter a group's columns
  std::vector<float> scales;           ///< [rows, groups]; not 0, SignRound's may be negative
  std::vector<float> zero_points;      ///< [rows, groups]

  std::size_t part(std::int64_t row, std::int64_t column) const {
    return static_cast<std::size_t>(row * groups + group_of[static_cast<std::size_t>(column)]);
  }
  /// The code nearest to x, half to even on x / s where z is an integer.
  std::int32_t nearest(std::size_t part, float x) const;
  float value(std::size_t part, std::int32_t code) const {
    return scales[part] * (static_cast<float>(code) - zero_points[part]);
  }
};

/// Group by column for groups of `group` neighbours (the last may be shorter); group 0 means one group.
std::vector<std::int32_t> neighbour_groups(std::int64_t columns, std::int64_t group);

/// The grid of one part.
struct ScaleZero {
  float scale = 1, zero_point = 0;
};
/// How a part's grid is found from its weights: pure, called from several threads.
using FindPart = std::function<ScaleZero(std::span<const float> part)>;

/// What a rounding solves: codes on a grid for which the layer's output is near that of the float weights,
///
///   L(w') = sum over rows of  E (w' . xq - w . x)^2  -  E (w . xq - w . x)^2
///         = sum over rows of  e G e^T + 2 d e^T,      e = w' - w,  G = E xq xq^T,  d = w (G - C^T),  C = E xq x^T
///
/// x are the inputs in the float network, xq in the quantized one; the subtracted term does not depend on w'. Without
/// cross moments xq = x, d = 0 and L is the mean squared output error summed over output channels. Quadratic: an
/// iteration costs rows * columns^2 whatever the number of samples. Of grouped and depthwise convolutions each group is
/// a problem of its own (G is block-diagonal).
struct RoundingProblem {
  std::int64_t rows = 0, columns = 0;
  std::span<const float> weights;  ///< [rows, columns]
  RoundingGrid grid;
  std::span<const float> gram;              ///< G [columns, columns]; empty for methods that need no data
  std::span<const float> cross;             ///< C [columns, columns]; empty when inputs are the float network's
  int threads = 0;                          ///< results do not depend on it
  const std::atomic<bool>* stop = nullptr;  ///< when it becomes true, learned roundings and GPTQ throw Interrupted
  std::int64_t first_row = 0;               ///< of the layer's, for messages
  FindPart find_part{};  ///< for roundings that move the weights on the way (gptq); empty: the grid stays
};

class LayerLoss;

struct RoundedWeight {
  std::vector<std::int16_t> codes;  ///< [rows, columns]
  RoundingGrid grid;                ///< the problem's, or what the method made of it
  std::vector<float> values;        ///< grid.value of the codes
  double loss = 0,
         nearest_loss = 0;  ///< L of the values, and of nearest rounding on the problem's grid; 0 without Gram
};

/// Throws InputError when weights, scales or moments are not finite, a scale is 0, or a diagonal element of G is
/// negative; asserts the shapes.
void check(const RoundingProblem& problem);

/// Throws Interrupted when *problem.stop is true.
void check_stop(const RoundingProblem& problem);

/// The values of codes on a grid.
RoundedWeight rounded(const RoundingProblem& problem, const RoundingGrid& grid, std::vector<std::int16_t> codes);
/// Each weight to the nearest value of the problem's grid: the yardstick of every other rounding.
RoundedWeight round_nearest(const RoundingProblem& problem);
/// `candidate` with each row whose loss is larger than nearest rounding's replaced by nearest rounding, and both losses
/// filled in. Rows do not influence each other's loss, so the result is never worse than nearest rounding. The
/// candidate's grid must have the problem's groups. loss: of the problem, whatever its grid.
RoundedWeight accepted(const RoundingProblem& problem, const LayerLoss& loss, RoundedWeight candidate);
/// Without moments the candidate as it is.
RoundedWeight accepted(const RoundingProblem& problem, RoundedWeight candidate);
/// The same as the first with `before` in place of nearest rounding.
RoundedWeight better_rows(const RoundingProblem& problem, const LayerLoss& loss, const RoundedWeight& before,
                          RoundedWeight candidate);

}  // namespace bitplan
