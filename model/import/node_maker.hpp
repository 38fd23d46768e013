#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/import/draft.hpp"

namespace bitplan {

/// Makes the nodes and tensors that replace one node of the file; they take its name, opset and metadata.
class NodeMaker {
 public:
  NodeMaker(Draft& draft, const Node& replaced) : draft_(draft), replaced_(replaced) {}

  /// A new tensor, named after the node's first output.
  TensorId tensor();
  TensorId constant(Tensor value);
  TensorId integers(const std::vector<std::int64_t>& values);

  /// Appends a node. Its name is the replaced node's with `suffix` behind it.
  Node& add(const char* op, std::vector<TensorId> inputs, std::vector<TensorId> outputs,
            const std::string& suffix = {});
  /// The same with one new output, which is returned.
  TensorId add(const char* op, std::vector<TensorId> inputs, const std::string& suffix);
  /// Squeeze or Unsqueeze of one axis, as the opset writes it; returns the result.
  TensorId change_axis(const char* op, TensorId from, std::int64_t axis);

  std::vector<DraftNode> nodes;

 private:
  Draft& draft_;
  const Node& replaced_;
  std::size_t tensors_ = 0;
};

}  // namespace bitplan
