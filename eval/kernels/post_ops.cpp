#include "eval/kernels/post_ops.hpp"

namespace bitplan {

namespace {

bool overwritable(const ProgramBuilder& builder, TensorId tensor, ValueId native, const Layout& layout,
                  const Operand& source) {
  const Value& value = builder.value(native);
  if (!(value.layout == layout)) return true;  // a copy is made
  return builder.dies(tensor) && !builder.share_storage(source, native);
}

}  // namespace

TensorId output_of(const ProgramBuilder& builder, const Group& group) {
  return group.output == kNoTensor ? builder.network().node(group.nodes[0]).outputs[0] : group.output;
}

FusedOutput fuse_output(ProgramBuilder& builder, const Group& group, const Layout& layout, const Operand& source) {
  FusedOutput fused;
  dnnl::post_ops ops;
  for (const PostOp& op : group.post_ops) {
    for (const Eltwise& f : op.eltwise) ops.append_eltwise(1, f.algorithm, f.alpha, f.beta);
    if (op.cap != kNoTensor) {
      fused.caps.emplace_back(ops.len(), op.cap);
      ops.append_binary(dnnl::algorithm::binary_min, plain_layout(builder.network().tensor(op.cap).shape));
    }
    if (op.addend == kNoTensor) continue;
    fused.tensor = op.addend;
    fused.position = ops.len();
    if (overwritable(builder, op.addend, builder.native(op.addend).value, layout, source)) {
      fused.addend = FusedOutput::Addend::in_place;
      ops.append_sum(1);
    } else {
      fused.addend = FusedOutput::Addend::operand;
      ops.append_binary(dnnl::algorithm::binary_add, layout);
    }
  }
  fused.attributes = workspace_attributes();
  fused.attributes.set_post_ops(ops);
  return fused;
}

ValueId bind_output(ProgramBuilder& builder, const Group& group, const FusedOutput& fused, const Layout& layout,
                    std::vector<ProgramBuilder::Argument>& arguments) {
  const Shape& shape = builder.network().tensor(output_of(builder, group)).shape;
  for (const auto& [position, cap] : fused.caps)
    arguments.push_back({DNNL_ARG_ATTR_MULTIPLE_POST_OP(position) | DNNL_ARG_SRC_1, builder.plain(cap)});
  if (fused.addend == FusedOutput::Addend::in_place) {
    const Operand native = builder.native(fused.tensor);
    const bool same = builder.value(native.value).layout == layout;
    const Operand base = same ? native : builder.copy_as(fused.tensor, layout);
    return builder.overwrite(base.value, shape);
  }
  if (fused.addend == FusedOutput::Addend::operand)
    arguments.push_back(
        {DNNL_ARG_ATTR_MULTIPLE_POST_OP(fused.position) | DNNL_ARG_SRC_1, builder.as(fused.tensor, layout)});
  return builder.make(layout);
}

}  // namespace bitplan
