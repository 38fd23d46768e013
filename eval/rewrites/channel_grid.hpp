#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/network.hpp"

namespace bitplan {

/// A layer's weight by channels: [groups, outputs or inputs of a group, the other, inner], inner being the positions
/// of a kernel. Conv [O, I/g, ...], ConvTranspose [I, O/g, ...], MatMul [I, O], Gemm either way. Channels are counted
/// through all groups.
class ChannelGrid {
 public:
  /// For Conv, ConvTranspose, Gemm and MatMul.
  ChannelGrid(const Network& network, const Layer& layer);

  std::size_t inputs() const { return groups_ * group_inputs(); }
  std::size_t outputs() const { return groups_ * (input_first_ ? second_ : first_); }
  /// Each channel is convolved alone.
  bool is_depthwise() const { return groups_ > 1 && groups_ == inputs() && groups_ == outputs(); }

  /// Largest |w| over the kernel, by output channel and input channel of its group: [outputs, inputs / groups].
  std::vector<float> magnitudes(std::span<const float> weight) const;
  /// Weights of one group without a kernel as rows [outputs, inputs].
  std::vector<float> rows(std::span<const float> weight) const;
  std::size_t group_inputs() const { return input_first_ ? first_ : second_; }
  std::size_t group_outputs() const { return input_first_ ? second_ : first_; }

  void multiply_inputs(std::span<float> weight, std::span<const float> factors) const;
  void divide_outputs(std::span<float> weight, std::span<const float> factors) const;

 private:
  /// body(index, output, input) for every weight in the order of memory.
  template <class Body>
  void for_each(const Body& body) const {
    std::size_t index = 0;
    for (std::size_t g = 0; g < groups_; ++g)
      for (std::size_t a = g * first_; a < (g + 1) * first_; ++a)
        for (std::size_t b = g * second_; b < (g + 1) * second_; ++b)
          for (std::size_t k = 0; k < inner_; ++k, ++index) body(index, input_first_ ? b : a, input_first_ ? a : b);
  }

  std::size_t groups_ = 1, first_ = 0, second_ = 0, inner_ = 1;
  bool input_first_ = false;
};

}  // namespace bitplan
