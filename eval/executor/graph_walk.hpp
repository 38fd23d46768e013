#pragma once

#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "model/network.hpp"

namespace bitplan {

/// Follows a graph from results to what they were made of, and remembers the nodes that it took on the way.
class GraphWalk {
 public:
  explicit GraphWalk(const Network& network) : net_(&network) {}

  const Network& network() const { return *net_; }
  /// All nodes taken, rising.
  std::vector<NodeId> nodes() const { return {taken_.begin(), taken_.end()}; }

  /// The node of kind `op` that makes `tensor`, its only output; null when something else does.
  const Node* look(TensorId tensor, std::string_view op) const;
  /// Likewise, and takes it.
  const Node* take(TensorId tensor, std::string_view op);
  /// `tensor` = other op c (commuting where op does) for a constant c within 1e-6 of `wanted`: takes it, returns other.
  std::optional<TensorId> with_scalar(TensorId tensor, std::string_view op, double wanted);
  /// `tensor` = other * c or other / c: returns other and the factor; takes nothing.
  std::optional<std::pair<TensorId, float>> scaled(TensorId tensor) const;
  /// `tensor` = Concat(-x2, x1) for the halves of x along the last axis, by Slice or Split: takes it, returns x.
  std::optional<TensorId> rotated(TensorId tensor);

  /// The node reduces the last axis of its input alone and keeps it as a dimension of 1.
  bool reduces_last_axis(const Node& reduction) const;
  /// The node (Softmax) works along the last axis.
  bool is_last_axis(const Node& node) const;

 private:
  /// A slice [begin, end) of the last axis of x: takes it, returns x.
  std::optional<TensorId> part_of_last_axis(TensorId tensor, std::int64_t begin, std::int64_t end);

  const Network* net_;
  std::set<NodeId> taken_;
};

}  // namespace bitplan
