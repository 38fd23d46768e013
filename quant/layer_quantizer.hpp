#pragma once

#include "quant/layer_error.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// Quantizes a weight by every part of its choice, in this order:
///
///   1. outliers    the n = ceil(p k / 100) of the k elements of the reduction whose inputs have the largest magnitude
///                  keep their weights in float16 (LLM.int8, Dettmers et al. 2022, arXiv:2208.07339; a share in place
///                  of a threshold, so that the stored bits do not depend on data). Grouped convolutions: the same
///                  elements in each group. The methods of 3 to 7 see inputs of 0 there; what they give is judged
///                  with these elements as they are kept.
///   2. grid        format, granularity and range (weight_quantizer.hpp), importance E x^2
///   3. awq         column j is multiplied by s_j before 2 and its values divided by it after; s of awq.hpp, of eleven
///                  alphas the one of least output error; those that lead beyond float32 are left out. s is stored (or
///                  folded into what precedes the layer). Not in grouped convolutions.
///   4. gain        of each part (weight_quantizer.hpp)
///   5. output      ranges by output error (output_range.hpp)
///   6. rounding    roundings.hpp and, not integers, level_roundings.hpp, on the layer's moments. The fewer positions,
///                  the less second moments tell signal from noise: for the method's use G + min(1, k / positions)
///                  mean(diag G) I stands for G (docs/roundings.md). Grouped convolutions: each group by itself.
///   7. refit       the scales of least output error for the codes (refit.hpp)
///   8. bias        b = E (w . x - w' . xq) by channel, empirical_bias (layer_error.hpp), or, analytic, (w - w') .
///                  expected
///
/// Steps 3 to 7 are accepted by the layer's output error L on the calibration data (rounding_problem.hpp, the true G),
/// awq by the whole layer, as is each step where rows share a scale, the others row by row (output_judge.hpp): no step
/// leaves what it is accepted by with a larger error than before it. Where there are moments weighted by tokens
/// (token_weights.hpp), 6 and 7 work on these and a row is taken where neither error is larger. hqq looks at no data
/// and is not accepted by L; billm, whose codes are not those of step 2, accepts its rows by itself, without the bias.
///
/// With an empirical bias L is the error with the bias of these values, and integers are rounded and refitted on
/// moments about the means, which is what a bias leaves. The steps are done without it, too, and rows that would be
/// better off without the bias become those of the layer without, after each step: neither a step nor the bias is ever
/// a loss. Where inputs move so little beside their means that float32 does not tell two errors apart, the step is not
/// taken. The analytic bias sees no data and may raise the error.
///
/// Cost: that of the rounding, twice with a bias; 11 quantizations and 11 n k^2 for awq. Throws InputError as
/// quantize_weight and the rounding do, and when a choice that needs data has no moments or one with an analytic bias
/// no expected inputs.
QuantizedWeight quantize_layer(const LayerWeight& weight, const Choice& choice);

}  // namespace bitplan
