#include <cmath>

#include "eval/kernels/kernel_table.hpp"

namespace bitplan {

/// y = x * scale / sqrt(variance + epsilon) + ..., per channel, where it could not be folded into a convolution.
bool compile_batch_normalization(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const TensorId in = node.inputs[0], out = node.outputs[0];
  if (!builder.is_float(in) || builder.constant(in) || node.outputs.size() != 1) return false;
  std::vector<ProgramBuilder::Argument> arguments{{DNNL_ARG_SRC, builder.native(in)}};
  const std::array slots{DNNL_ARG_SCALE, DNNL_ARG_SHIFT, DNNL_ARG_MEAN, DNNL_ARG_VARIANCE};
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!builder.constant(node.inputs[i + 1]) || !builder.is_float(node.inputs[i + 1])) return false;
    arguments.push_back({slots[i], builder.plain(node.inputs[i + 1])});
  }
  using Forward = dnnl::batch_normalization_forward;
  using dnnl::normalization_flags;
  const Layout layout = builder.value(arguments[0].operand.value).layout;
  const Forward::desc desc(
      dnnl::prop_kind::forward_inference, layout, node.number("epsilon", 1e-5F),
      normalization_flags::use_global_stats | normalization_flags::use_scale | normalization_flags::use_shift);
  const Forward::primitive_desc pd(desc, workspace_attributes(), builder.engine(), true);
  if (!pd) return false;
  const Shape& shape = net.tensor(out).shape;
  const ValueId y = builder.dies(in) ? builder.overwrite(arguments[0].operand.value, shape) : builder.make(layout);
  builder.add(Forward(pd), pd.scratchpad_desc(), std::move(arguments), {{DNNL_ARG_DST, {.value = y}}});
  builder.define(out, y);
  return true;
}

}  // namespace bitplan
