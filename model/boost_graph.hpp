#pragma once

#include <vector>

#include "model/network.hpp"

namespace bitplan {

/// For each node the nodes whose outputs it reads.
using Reads = std::vector<std::vector<NodeId>>;

/// An order in which every node comes after all that it reads; nodes that are in such an order already keep it.
/// Empty when there is a cycle. Boost.Graph's topological sort, O(nodes + edges).
std::vector<NodeId> topological_order(const Reads& reads);

/// The nodes of one cycle's strongly connected component, empty when there is none.
std::vector<NodeId> nodes_on_a_cycle(const Reads& reads);

}  // namespace bitplan
