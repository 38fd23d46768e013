#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "eval/kernels/layout.hpp"
#include "model/network.hpp"

namespace bitplan {

/// A convolution in oneDNN's terms: weights [G, O/G, I/G, …] for G > 1 groups, [O, I, …] else; dilation counted from 0.
struct ConvolutionPlan {
  Dims source, weights, target, strides, dilations, pad_begin, pad_end;
  bool bias = false;

  std::int64_t channels() const { return target[1]; }
  bool has_padding() const;
};

/// A Conv layer's.
ConvolutionPlan plan_convolution(const Network& network, const Layer& layer);

/// A linear layer as a convolution: Y [m, n] = X [m, k] W' is a 1x1 convolution over one row of m pixels with k
/// channels. Channels last, X and Y lie in memory as they are.
ConvolutionPlan plan_product(std::int64_t m, std::int64_t k, std::int64_t n);

/// A constant weight as one matrix [rows, columns]: nothing when it is a stack of several.
struct MatrixShape {
  std::int64_t rows, columns;
};
std::optional<MatrixShape> matrix_of(const Shape& weight);

/// What input `i` of a layer adds to each of n columns or channels, times `factor`: empty when it is left out, nothing
/// when it is not constant or differs between rows.
std::optional<std::vector<float>> added_row(const Network& network, const Node& node, std::size_t i, std::int64_t n,
                                            float factor);

}  // namespace bitplan
