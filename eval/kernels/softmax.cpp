#include <numeric>

#include "eval/kernels/kernel_table.hpp"

namespace bitplan {

namespace {

/// Along one axis; before opset 13 along all from `axis` on. Forward: oneDNN's softmax or logsoftmax.
template <class Forward>
bool compile_forward(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const TensorId in = node.inputs[0];
  const Shape& shape = net.tensor(in).shape;
  if (!builder.is_float(in) || builder.constant(in) || shape.empty()) return false;
  const bool flattens = node.opset < 13;
  std::int64_t axis = node.integer("axis", flattens ? 1 : -1);
  if (axis < 0) axis += static_cast<std::int64_t>(shape.size());
  const auto product = [&](std::int64_t from, std::int64_t to) {
    return std::accumulate(shape.begin() + from, shape.begin() + to, std::int64_t{1}, std::multiplies());
  };
  const auto rank = static_cast<std::int64_t>(shape.size());
  const Dims dims = flattens ? Dims{product(0, axis), product(axis, rank), 1}
                             : Dims{product(0, axis), shape[static_cast<std::size_t>(axis)], product(axis + 1, rank)};
  const Layout layout = plain_layout(dims);
  const typename Forward::desc desc(dnnl::prop_kind::forward_inference, layout, 1);
  const typename Forward::primitive_desc pd(desc, workspace_attributes(), builder.engine(), true);
  if (!pd) return false;
  const Operand x = builder.view(builder.plain(in), dims);
  const ValueId y = builder.make(layout);
  builder.add(Forward(pd), pd.scratchpad_desc(), {{DNNL_ARG_SRC, x}}, {{DNNL_ARG_DST, {.value = y}}});
  builder.define(node.outputs[0], builder.view(y, shape));
  return true;
}

}  // namespace

bool compile_softmax(ProgramBuilder& builder, const Group& group) {
  return compile_forward<dnnl::softmax_forward>(builder, group);
}
bool compile_log_softmax(ProgramBuilder& builder, const Group& group) {
  return compile_forward<dnnl::logsoftmax_forward>(builder, group);
}

}  // namespace bitplan
