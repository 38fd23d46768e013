#pragma once

#include <array>
#include <span>
#include <vector>

namespace bitplan {

/// Cross-layer equalisation: Nagel et al. 2019, arXiv:1906.04721 (DFQ), section 4.1; Meller et al. 2019 (AIMET). Relu
/// commutes with positive factors, so channel i between two layers may be divided by s_i behind the first and
/// multiplied by it before the second, which brings the ranges of channels together. Of two layers with largest
/// magnitudes r1_i (of output channel i) and r2_i (of input channel i), both become sqrt(r1 r2):
///
///   s_i = r1_i / sqrt(r1_i r2_i);   W1_i /= s_i, b1_i /= s_i, W2_.i *= s_i
///
/// Of conv, depthwise conv, conv with one channel range each, all three become (r1 r2 r3)^(1/3):
///
///   s1_i = r1_i / (r1_i r2_i r3_i)^(1/3),   s2_i = (r1_i r2_i r3_i)^(1/3) / r3_i
///   W1_i /= s1_i;   W2_i *= s1_i / s2_i, b2_i /= s2_i;   W3_.i *= s2_i
///
/// 1 where a range is 0. Relu6 has to become min(x, 6 / s_i) by channel. O(channels). Throws InputError when a range is
/// negative or not finite.
std::vector<float> equalisation_scales(std::span<const float> r1, std::span<const float> r2);
std::array<std::vector<float>, 2> equalisation_scales(std::span<const float> r1, std::span<const float> r2,
                                                      std::span<const float> r3);

/// A weight seen as [outer, channels, inner]: output channels of [O, I, h, w] are {1, O, I h w}, input channels
/// {O, I, h w}.
struct ChannelBlock {
  std::size_t outer, channels, inner;
};
std::vector<float> channel_ranges(std::span<const float> weights, const ChannelBlock& view);
/// Each channel times factors[channel], or divided by it.
void multiply_channels(std::span<float> weights, const ChannelBlock& view, std::span<const float> factors);
void divide_channels(std::span<float> weights, const ChannelBlock& view, std::span<const float> factors);

}  // namespace bitplan
