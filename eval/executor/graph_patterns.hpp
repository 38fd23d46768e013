#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "model/network.hpp"

namespace bitplan {

/// Nodes of exported graphs that together are one known function of few tensors. Each matcher starts from the last node
/// of its pattern and follows producers; commuting operands may stand in either order. `nodes` are all nodes of the
/// pattern, rising. Whether inner tensors are read elsewhere is the caller's question (is_closed).

/// y = x/2 (1 + erf(x / sqrt 2)), or its tanh form x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
/// Hendrycks & Gimpel 2016, arXiv:1606.08415.
struct GeluPattern {
  std::vector<NodeId> nodes;
  TensorId input = kNoTensor;
  bool tanh = false;
};
std::optional<GeluPattern> match_gelu(const Network& network, NodeId last);

/// Over the last axis: y = (x - mean) / sqrt(variance + epsilon) * scale + bias, or without mean and bias
/// y = x / sqrt(mean(x^2) + epsilon) * scale (Zhang & Sennrich 2019, arXiv:1910.07467).
struct NormPattern {
  std::vector<NodeId> nodes;
  TensorId input = kNoTensor;
  TensorId scale = kNoTensor, bias = kNoTensor;  ///< constants of one value for each element of the axis; may be absent
  float epsilon = 0;
  bool centered = false;  ///< LayerNormalization
};
std::optional<NormPattern> match_norm(const Network& network, NodeId last);

/// y = softmax(scale * (q k) + mask) v over stacks of matrices, q [..., M, K], k [..., K, N], v [..., N, D].
/// Vaswani et al. 2017, arXiv:1706.03762, eq. 1.
struct AttentionPattern {
  std::vector<NodeId> nodes;
  NodeId scores = -1, product = -1;  ///< the two MatMul nodes
  TensorId q = kNoTensor, k = kNoTensor, v = kNoTensor;
  TensorId mask = kNoTensor;  ///< broadcast to the scores; may be absent
  float scale = 1;
};
std::optional<AttentionPattern> match_attention(const Network& network, NodeId last);

/// y = x cos + rotate(x) sin, rotate(x) = [-x2, x1] for the halves x = [x1, x2] of the last axis.
/// Su et al. 2021, arXiv:2104.09864, in the order of GPT-NeoX.
struct RotaryPattern {
  std::vector<NodeId> nodes;
  TensorId input = kNoTensor, cos = kNoTensor, sin = kNoTensor;
};
std::optional<RotaryPattern> match_rotary(const Network& network, NodeId last);

/// No node outside `nodes` reads what they make, save what the last of them makes; and `seen` (by TensorId) is false
/// for all of that.
bool is_closed(const Network& network, std::span<const NodeId> nodes, const std::vector<bool>& seen);

/// The value of a constant of one float.
std::optional<float> scalar_constant(const Network& network, TensorId tensor);

}  // namespace bitplan
