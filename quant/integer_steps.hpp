#pragma once

#include "quant/layer_rows.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

struct Rounding;

/// Steps of integers by a layer's second moments, from the weight as it is (arrays by row) to the next. Each group of a
/// grouped convolution is a problem of its own, with shrunk moments (layer_rows.hpp). They are not accepted here.
///
/// Codes by the rounding, and grids where it finds its own (roundings.hpp), else those that there are. Throws as it
/// does.
QuantizedWeight rounded_codes(const LayerRows& layer, const Choice& choice, const Rounding& rounding,
                              const QuantizedWeight& start);
/// Ranges by the output error (output_range.hpp); start: the widest ranges.
QuantizedWeight ranges_by_output(const LayerRows& layer, const Choice& choice, const QuantizedWeight& start);
/// Scales for the codes there are (refit.hpp); zero points move where they may lie between codes.
QuantizedWeight refitted(const LayerRows& layer, const Choice& choice, const QuantizedWeight& start);

}  // namespace bitplan
