#pragma once

#include <vector>

#include "model/network.hpp"

namespace bitplan {

/// The activations that are in memory at the same time while one node runs: its inputs, its outputs and all that later
/// nodes still read. Tensors that only change the view of another (Reshape, Flatten, Squeeze, Unsqueeze, Identity)
/// count once, as the tensor they view.
struct MemoryCut {
  NodeId node = 0;
  std::vector<TensorId> tensors;
};

/// One cut per node in execution order, those contained in another dropped. O(nodes × live tensors).
std::vector<MemoryCut> memory_cuts(const Network& network);

}  // namespace bitplan
