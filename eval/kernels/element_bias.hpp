#pragma once

#include "eval/kernels/builder.hpp"

namespace bitplan {

/// Adds the steps y[s, e] += b[e] behind a layer: b (PackedWeight::elements) has a number for each element e of the
/// layer's output y for one sample, and comes with the candidate's weight. In place, in the layout of y, where samples
/// lie one after the other. Cost: one pass over y, and one over a sample to bring b into that layout.
void add_element_bias(ProgramBuilder& builder, LayerId layer, ValueId y);

}  // namespace bitplan
