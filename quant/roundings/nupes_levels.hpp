#pragma once

#include <atomic>
#include <span>

#include "quant/moments/input_moments.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// NUPES, Yvinec et al. 2023, arXiv:2308.05600, as a rounding of `powerN` by channel: round_power (power_exponent.hpp)
/// on the layer's moments. Rows of one group of a grouped convolution share an exponent, each group has its own; one
/// group is the whole of any other layer. The method works on
///
///   G + s mean(diag G) I  and  C + s mean(diag G) I,   s = share,
///
/// so that the drift w (G - C^T) of the inputs stays as it is. A row whose output error by the true moments is not
/// smaller than that of quantize_weight (an exponent for each row, of least weight error) keeps the latter. Codes,
/// scales (1) and levels by row in code_book are as there; an exponent fits the 8 bits that the format counts.
///
/// Cost: 2 n k^2 and a few powers a weight for each exponent that is visited, at most 75; GPTQ and a descent. Throws
/// InputError on weights or moments that are not finite, or too large for float32, Interrupted when *stop becomes true.
QuantizedWeight nupes_levels(std::span<const float> weights, const WeightView& view, const Choice& choice,
                             const LayerMoments& moments, double share = 0, int threads = 0,
                             const std::atomic<bool>* stop = nullptr);

}  // namespace bitplan
