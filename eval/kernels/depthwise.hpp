#pragma once

#include "eval/executor/executor_fusion.hpp"
#include "eval/kernels/builder.hpp"
#include "eval/kernels/convolution_plan.hpp"

namespace bitplan {

/// Depthwise convolutions of images by a kernel of our own, which quantizes as it goes: rows of its input into a buffer
/// that stays in the L1 cache, once each, when it alone reads the quantized values; rows of its output right after they
/// were made, when nobody reads the float ones. In mobile networks these are the largest tensors, and a pass over each
/// would cost up to a fifth of the time. Results are those of the passes to the bit.
///
/// For one filter a channel, strides of 1 and 2, no dilation, source and target in blocks of 16 channels, with nothing
/// behind it or one Relu or Clip, on CPUs with AVX-512. `bias` by channel. False, with nothing added, for others. That
/// depends on shapes only, so a layer has the same kernel in all programs of a network.
bool compile_depthwise(ProgramBuilder& builder, const Group& group, const Layer& layer, const ConvolutionPlan& plan,
                       const Layout& source, const Layout& target, std::vector<float> bias);

}  // namespace bitplan
