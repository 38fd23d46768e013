#pragma once

#include <atomic>
#include <span>
#include <vector>

#include "quant/moments/input_moments.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// A layer's weight and what is known of its inputs.
struct LayerWeight {
  std::span<const float> values;
  WeightView view;
  const LayerMoments* moments = nullptr;  ///< null: nothing
  int threads = 0;                        ///< results do not depend on it
  /// E x without data, groups times the elements of the reduction; null: not known. Only a bias that is
  /// BiasCorrection::analytic takes it.
  const std::vector<float>* expected = nullptr;
  const std::atomic<bool>* stop = nullptr;  ///< when it becomes true, long roundings throw Interrupted
};

/// E (w . x - w' . xq) by channel, of a weight's values and others in the same order: bias_correction of each group.
std::vector<float> mean_difference(const WeightView& view, std::span<const float> weights,
                                   std::span<const float> values, const LayerMoments& moments);
/// (w - w') . expected by channel; expected as in LayerWeight.
std::vector<float> mean_difference(const WeightView& view, std::span<const float> weights,
                                   std::span<const float> values, std::span<const float> expected);

/// `wanted` held between 0 and 2 mean, where a bias leaves no larger an output error than none.
float held_bias(float wanted, float mean);
/// The bias of each channel that goes with quantized values: mean_difference b. With weighted moments that of the
/// weighted means, held_bias by b.
std::vector<float> empirical_bias(const WeightView& view, std::span<const float> weights, std::span<const float> values,
                                  const LayerMoments& moments);

/// The mean squared output error summed over channels, of values in the weight's own order: L of rounding_problem.hpp,
/// with_bias: after empirical_bias. moments must be given.
double output_error(const LayerWeight& weight, std::span<const float> values, bool with_bias);

}  // namespace bitplan
