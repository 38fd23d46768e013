#pragma once

#include <string_view>
#include <vector>

#include "eval/kernels/eltwise.hpp"
#include "model/network.hpp"

namespace bitplan {

/// What is done to the output of a Conv, Gemm or MatMul while it is still in registers.
struct PostOp {
  std::vector<Eltwise> eltwise;  ///< applied in turn
  TensorId addend = kNoTensor;   ///< or: added, same shape
  TensorId cap = kNoTensor;      ///< or, behind a Conv: min with a constant of one value a channel [1, C, 1, ...]
};

/// Nodes that one kernel computes together: nodes[0], then what follows it. Laid out at the place of the last of them.
///
/// Groups with `pattern` set are a function of eval/executor/graph_patterns.hpp (nodes rising); all others start with a layer
/// and go on with a bias, then `post_ops` in turn. Behind a Gemm or MatMul, Reshape and its kin may stand between
/// them: the product's row-major elements keep their order, so shapes do not matter to what follows, and `output` may
/// have another shape than nodes[0] makes.
struct Group {
  std::vector<NodeId> nodes;
  std::vector<PostOp> post_ops;
  TensorId output = kNoTensor;  ///< of the whole group, where it has more than one node
  TensorId bias = kNoTensor;    ///< MatMul: a constant of one value a column that an Add behind it adds; may be absent
  std::string_view pattern = {};  ///< a name of the kernel table, "" for groups named by nodes[0]
};

/// The nodes in groups, in an order that respects their inputs. A tensor inside a group has no readers but the group
/// and is neither an output nor an activation site, so nobody misses it. With fuse = false each node is alone, and so
/// are always the layers of `alone` (by LayerId; empty: none): something comes between them and what follows.
///
/// Taken into a group after a layer: the bias of a MatMul, at most one Add of two equal shapes (a residual),
/// element-wise functions, bounds by channel (Min) behind a Conv, products with a constant number, x * sigmoid(x), x *
/// hardsigmoid(x) and Gelu.
std::vector<Group> group_nodes(const Network& network, bool fuse, const std::vector<bool>& alone = {});

}  // namespace bitplan
