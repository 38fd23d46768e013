#pragma once

#include "quant/layer_error.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// Quantizes a weight by every part of its choice, in this order:
///
///   1. outliers    the n = ceil(p k / 100) of the k elements of the reduction whose inputs have the largest magnitude
///                  keep their weights in float16 (LLM.int8, Dettmers et al. 2022, arXiv:2208.07339; a share in place
///                  of a threshold, so that the stored bits do not depend on data). Grouped convolutions: the same
///                  elements in each group.
///   2. awq         column j is multiplied by s_j before and its values divided by it after; s of awq.hpp, alpha of 0,
///                  .1 … 1 by output error. s is stored (or folded into what precedes the layer). Not in grouped
///                  convolutions.
///   3. grid        format, granularity and range (weight_quantizer.hpp), importance E x^2; gain by row
///   4. rounding    roundings.hpp and, not integers, level_roundings.hpp, on the layer's moments. The fewer positions,
///                  the less second moments tell signal from noise: for the method's use G + min(1, k / positions)
///                  mean(diag G) I stands for G (docs/roundings.md). Grouped convolutions: each group by itself.
///   5. refit       the scales of least output error for the codes (refit.hpp)
///   6. bias        b = E (w . x - w' . xq) by channel (bias_correction.hpp), or, analytic, (w - w') . expected
///
/// Steps 2 to 5 are accepted by the layer's output error L on the calibration data (rounding_problem.hpp, the true G):
/// awq by the whole layer, the others row by row. Of integers with an empirical bias (not with range wmse, nor where
/// inputs hardly move beside their means) L is of the moments about the means, which is what the bias leaves; the whole
/// is accepted against the choice without a bias, whose codes and a bias stand where the layer would be worse. The
/// analytic bias sees no data and may raise the error. hqq looks at no data, so that it gives the same weight with a bias
/// and without: it is not accepted by L. Where there are moments weighted by tokens (token_weights.hpp), rounding and
/// refit of integers work on these and are accepted by both errors; the bias is empirical_bias (layer_error.hpp). To
/// steps 2 to 5 the inputs of columns in float are 0, so that nothing is made up for by weights that are not kept.
///
/// Cost: that of the rounding, twice with a bias; 11 quantizations and n k^2 for awq. Throws InputError as quantize_weight and the
/// rounding do, and when a choice that needs data has no moments or one with an analytic bias no expected inputs.
QuantizedWeight quantize_layer(const LayerWeight& weight, const Choice& choice);

}  // namespace bitplan
