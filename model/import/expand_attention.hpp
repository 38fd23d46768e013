#pragma once

#include <vector>

#include "model/import/draft.hpp"

namespace bitplan {

/// Whether the node is an Attention (opset 23) of 4-dimensional queries, keys and values, as the dynamo exporter writes
/// scaled_dot_product_attention.
bool is_attention(const Draft& draft, const Node& node);

/// That node as older opsets write it, so that ties, activation sites and fast kernels find its parts:
///   softmax(scale * (Q K') + mask) V
/// Transpose, MatMul, Mul, Add, Softmax, MatMul; keys and values that groups of heads share are repeated by Unsqueeze,
/// Expand and Reshape. Masks of bool become 0 and the lowest float, so a row that sees nothing sees all alike, as in
/// ONNX Runtime. The node must have passed its operator's `infer`.
std::vector<DraftNode> expand_attention(Draft& draft, const Node& node);

}  // namespace bitplan
