#pragma once

#include <atomic>
#include <span>

#include "quant/moments/input_moments.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

struct LevelRows;

/// GPTQ (gptq.hpp) for formats other than integers: mxfp4, nvfp4, nf4, fp8, code books, powers of two, ternary … The
/// format fits its grids to the float weights first; then, column by column, each weight goes to the nearest level of
/// its grid and the columns to come make up for its error. Scales, code books and stored bits are those of
/// quantize_weight, only codes and values differ.
struct GptqLevelsSettings {
  double damping = 0.01;  ///< of the mean of G's diagonal; with fewer samples than columns more, columns / samples
  bool activation_order = false;
  int threads = 0;                          ///< results do not depend on it
  const std::atomic<bool>* stop = nullptr;  ///< when it becomes true, Interrupted is thrown
};

/// No row has a larger output error L (rounding_problem.hpp) on these moments than quantize_weight's values have: such
/// rows keep those. rows * columns^2 multiply-adds in float, 2/3 columns^3 in double a group of a grouped convolution.
/// Throws InputError as quantize_weight does, for moments that are not finite or that no damping makes positive
/// definite, when L overflows, and for binary:stochastic, whose drawn signs this would replace.
QuantizedWeight gptq_levels(std::span<const float> weights, const WeightView& view, const Choice& choice,
                            const LayerMoments& moments, std::span<const float> importance = {},
                            const GptqLevelsSettings& settings = {});
/// The same for rows whose grids are there already (level_rows).
QuantizedWeight gptq_levels(std::span<const float> weights, const WeightView& view, const Choice& choice,
                            const LevelRows& rows, const LayerMoments& moments, const GptqLevelsSettings& settings);

}  // namespace bitplan
