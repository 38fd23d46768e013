#pragma once

#include <vector>

#include "model/network.hpp"

namespace bitplan {

/// The activations that are in memory at the same time while one node runs: its inputs, its outputs and all that later
/// nodes still read. Tensors that share memory count once:
///   a view (Reshape, Flatten, Squeeze, Unsqueeze, Identity) as the tensor it views;
///   what a pointwise operator (Relu, Clip, BatchNormalization, …) reads and nobody else does, as the tensor that
///   overwrites it; a layer's output that only a sum of the same shape reads, as the sum. So a chain Conv, Add, Relu is
///   one tensor, the one that is kept and quantized, as inference engines compute it.
struct MemoryCut {
  NodeId node = 0;
  std::vector<TensorId> tensors;
};

/// One cut per node in execution order, those contained in another dropped. O(nodes × live tensors).
std::vector<MemoryCut> memory_cuts(const Network& network);

}  // namespace bitplan
