#pragma once

#include <optional>
#include <vector>

#include "eval/kernels/layout.hpp"
#include "model/network.hpp"

namespace bitplan {

/// An element-wise function as oneDNN names it.
struct Eltwise {
  dnnl::algorithm algorithm;
  float alpha = 0, beta = 0;
};

/// The functions which, one after the other, are the float32 node (HardSigmoid is a line and a clip); nothing when the
/// node is no such function.
std::optional<std::vector<Eltwise>> eltwise_of(const Network& network, const Node& node);

/// The same for y = x c, x / c, x + c, x - c, c - x with a constant number c and y of the shape of x.
std::optional<std::vector<Eltwise>> linear_of(const Network& network, const Node& node, TensorId x);

/// x/2 (1 + erf(x / sqrt 2)), or its tanh form.
Eltwise gelu_eltwise(bool tanh);

/// Nodes `gate` and `product` as product = x * gate(x): Sigmoid gives swish, HardSigmoid(1/6, 1/2) hard-swish.
std::optional<Eltwise> gated_eltwise_of(const Network& network, NodeId gate, NodeId product);

}  // namespace bitplan
