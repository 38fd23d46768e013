#include "eval/kernels/kernel_table.hpp"

namespace bitplan {

/// Reshape, Flatten, Squeeze, Unsqueeze, Identity: the same elements in row-major order under another shape.
bool compile_view(ProgramBuilder& builder, const Group& group) {
  const Node& node = builder.network().node(group.nodes[0]);
  const TensorId in = node.inputs[0], out = node.outputs[0];
  const Shape& shape = builder.network().tensor(out).shape;
  if (builder.is_float(in) && builder.is_float(out)) {
    if (const auto seen = builder.strided(in).reshaped(shape)) {
      builder.define_strided(out, *seen);
      return true;
    }
  }
  builder.define(out, builder.view(builder.plain(in).value, shape));
  return true;
}

/// To the type that the tensor has already.
bool compile_cast(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  return net.tensor(node.inputs[0]).dtype == net.tensor(node.outputs[0]).dtype && compile_view(builder, group);
}

}  // namespace bitplan
