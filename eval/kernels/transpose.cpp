#include "eval/kernels/kernel_table.hpp"

namespace bitplan {

/// Floats: oneDNN's reorder, from the input seen with its dimensions permuted.
bool compile_transpose(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const TensorId in = node.inputs[0], out = node.outputs[0];
  const Shape& x = net.tensor(in).shape;
  if (!builder.is_float(in) || x.empty()) return false;
  std::vector<std::int64_t> order;
  for (std::size_t d = x.size(); d-- > 0;) order.push_back(static_cast<std::int64_t>(d));
  order = node.integers("perm", order);
  const Placement from = plain_placement(x);
  Dims strides;
  for (const std::int64_t d : order) strides.push_back(from.strides[static_cast<std::size_t>(d)]);
  const Shape& y = net.tensor(out).shape;
  const Layout seen = strided_layout(y, strides), target = plain_layout(y);
  const dnnl::reorder::primitive_desc pd(builder.engine(), seen, builder.engine(), target, workspace_attributes(),
                                         true);
  if (!pd) return false;
  const Operand source{.value = builder.view_as(builder.plain(in).value, seen)};
  const ValueId made = builder.make(target);
  builder.add(dnnl::reorder(pd), pd.scratchpad_desc(), {{DNNL_ARG_FROM, source}}, {{DNNL_ARG_TO, {.value = made}}});
  builder.define(out, made);
  return true;
}

}  // namespace bitplan
