#include "eval/kernels/kernel_table.hpp"

namespace bitplan {

/// Reshape, Flatten, Squeeze, Unsqueeze, Identity: the same row-major bytes under another shape.
bool compile_view(ProgramBuilder& builder, const Group& group) {
  const Node& node = builder.network().node(group.nodes[0]);
  const TensorInfo& to = builder.network().tensor(node.outputs[0]);
  builder.define(node.outputs[0], builder.view(builder.plain(node.inputs[0]).value, to.shape));
  return true;
}

}  // namespace bitplan
