#pragma once

#include <vector>

#include "eval/kernels/eltwise.hpp"
#include "model/network.hpp"

namespace bitplan {

/// What is done to the output of a Conv, Gemm or MatMul while it is still in registers.
struct PostOp {
  std::vector<Eltwise> eltwise;  ///< applied in turn
  TensorId addend = kNoTensor;   ///< or: added, same shape
};

/// Nodes that one kernel computes together: nodes[0], then what follows it. Laid out at the place of the last of them.
struct Group {
  std::vector<NodeId> nodes;
  std::vector<PostOp> post_ops;
  TensorId output = kNoTensor;  ///< of the whole group, where there are post_ops
};

/// The nodes in groups, in an order that respects their inputs. A tensor inside a group has one reader and is neither
/// an output nor an activation site, so nobody misses it. With fuse = false each node is alone.
///
/// Taken into a group after a layer: at most one Add of two equal shapes (a residual), element-wise functions, and
/// x * sigmoid(x), x * hardsigmoid(x).
std::vector<Group> group_nodes(const Network& network, bool fuse);

}  // namespace bitplan
