#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "model/network.hpp"

namespace bitplan {

/// How a kernel slides along one spatial axis. Output o reads, for k = 0 … kernel - 1, the inputs
///
///   i = o * stride - pad_begin + k * dilation,      those outside 0 … input - 1 being padding.
///
/// For ConvTranspose the roles are turned: `input` is the long side (the operator's output), `output` the short one,
/// and input i receives what Conv would read.
struct Window {
  std::int64_t input = 1, kernel = 1, stride = 1, dilation = 1, pad_begin = 0, pad_end = 0, output = 1;

  struct Range {
    std::int64_t begin = 0, end = 0;  ///< end excluded; empty when end <= begin
  };
  /// Outputs for which kernel position k is inside the input.
  Range outputs_of(std::int64_t k) const;
  /// Kernel positions of output o that are inside the input, or inside the input and its declared padding.
  Range taps_of(std::int64_t o) const;
  Range padded_taps_of(std::int64_t o) const;
  std::int64_t at(std::int64_t o, std::int64_t k) const { return o * stride - pad_begin + k * dilation; }
};

/// The windows of a Conv, pooling or ConvTranspose node, one for each spatial axis, from its attributes (strides,
/// dilations, pads, auto_pad, ceil_mode; output_padding, output_shape). `input` is the operator's data input [N, C, …],
/// `kernel` the kernel's spatial shape. Throws InputError when sizes are negative, absurd or leave no output.
std::vector<Window> conv_windows(const Node& node, const Shape& input, const Shape& kernel);
std::vector<Window> conv_transpose_windows(const Node& node, const Shape& input, const Shape& kernel);

/// The same windows as exactly three axes; missing leading ones are 1 wide. Fails for more than three.
std::array<Window, 3> three_axes(const Node& node, const std::vector<Window>& windows);

}  // namespace bitplan
