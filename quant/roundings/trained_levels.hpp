#pragma once

#include <atomic>
#include <span>

#include "quant/moments/input_moments.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// Trained levels: Zhu et al. 2017 (TTQ), arXiv:1612.01064, learn the two scales of ternary weights on the network's
/// loss; here the levels of a part are learned on the layer's output error L (rounding_problem.hpp), for ternary (-s,
/// 0, s), ttq (-n, 0, p), binary (-s, s) and code books (all entries). From the codes of
/// gptq_levels; L is quadratic in both unknowns, which are found in turn:
///
///   codes    each to the best given all others (descent.hpp), levels as they are
///   levels   w' = sum_p t_p b_p, b_p the pattern of parameter p in a row:  A t = B (G w - d),  A = B G B^T
///
/// where G is shrunk (below). One system a row, or one for the tensor when it is one part. A level that no weight uses
/// stays; a system whose answer puts levels out of order ends the training. At most `passes` times or until L falls by
/// less than 1e-3 of itself. Stored bits are those of the format.
struct TrainedLevelsSettings {
  int passes = 10;
  double shrink = 0;  ///< of the mean of G's diagonal, added to G; with fewer samples than columns, columns / samples
  int threads = 0;    ///< results do not depend on it
  const std::atomic<bool>* stop = nullptr;  ///< when it becomes true, Interrupted is thrown
};

/// No row (no tensor, where it is one part) has a larger L on the moments as they are than quantize_weight's values:
/// such rows keep those. passes * rows * columns^2 multiply-adds (a row of G goes to one parameter's sum in B G), and a
/// descent each. Throws InputError as quantize_weight does, for moments that are not finite, when L overflows, and for
/// formats without levels to train.
QuantizedWeight train_levels(std::span<const float> weights, const WeightView& view, const Choice& choice,
                             const LayerMoments& moments, std::span<const float> importance = {},
                             const TrainedLevelsSettings& settings = {});

}  // namespace bitplan
