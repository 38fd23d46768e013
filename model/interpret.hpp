#pragma once

#include <span>
#include <vector>

#include "core/tensor.hpp"
#include "model/network.hpp"

namespace bitplan {

/// Runs the network node by node with the operators' own `evaluate`: the definition that faster executors are tested
/// against. Inputs in the order and with the shapes of network.inputs; results in that of network.outputs. Tensors are
/// freed after their last reader. One thread, O(multiply-accumulates). Throws InputError on wrong types or shapes.
std::vector<Tensor> interpret(const Network& network, std::span<const Tensor> inputs);

}  // namespace bitplan
