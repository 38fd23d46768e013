#include <algorithm>

#include "eval/kernels/kernel_table.hpp"
#include "model/spatial.hpp"

namespace bitplan {

namespace {

using Forward = dnnl::pooling_v2_forward;
using dnnl::algorithm;

struct PoolPlan {
  algorithm function;
  Dims kernel, strides, dilations, pad_begin, pad_end;
};

/// Adds the pooling in the layout of its input. Fails when oneDNN has no kernel for it.
std::optional<ValueId> add_pool(ProgramBuilder& builder, TensorId in, const Dims& target_dims, const PoolPlan& plan) {
  const Operand x = builder.native(in);
  const Layout source = builder.value(x.value).layout;
  const auto target = layout_like(source, target_dims);
  if (!target) return std::nullopt;
  const Forward::desc desc(dnnl::prop_kind::forward_inference, plan.function, source, *target, plan.strides,
                           plan.kernel, plan.dilations, plan.pad_begin, plan.pad_end);
  const Forward::primitive_desc pd(desc, workspace_attributes(), builder.engine(), true);
  if (!pd) return std::nullopt;
  const ValueId y = builder.make(*target);
  builder.add(Forward(pd), pd.scratchpad_desc(), {{DNNL_ARG_SRC, x}}, {{DNNL_ARG_DST, {.value = y}}});
  return y;
}

bool compile_pool(ProgramBuilder& builder, const Group& group, algorithm function) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const Shape &x = net.tensor(node.inputs[0]).shape, &y = net.tensor(node.outputs[0]).shape;
  const bool one_output = std::ranges::count_if(node.outputs, [](TensorId t) { return t != kNoTensor; }) == 1;
  if (!one_output || !builder.is_float(node.inputs[0]) || x.size() < 3 || x.size() > 5) return false;
  PoolPlan plan{function, node.integers("kernel_shape", {}), {}, {}, {}, {}};
  const bool counts_padding = function == algorithm::pooling_avg_include_padding;
  for (const Window& w : conv_windows(node, x, plan.kernel)) {
    // ceil_mode reads beyond the declared padding.
    const std::int64_t needed = (w.output - 1) * w.stride + (w.kernel - 1) * w.dilation + 1 - w.input - w.pad_begin;
    if (counts_padding && needed > w.pad_end) return false;
    plan.strides.push_back(w.stride);
    plan.dilations.push_back(w.dilation - 1);
    plan.pad_begin.push_back(w.pad_begin);
    plan.pad_end.push_back(std::max(w.pad_end, needed));
  }
  const auto made = add_pool(builder, node.inputs[0], y, plan);
  if (!made) return false;
  builder.define(node.outputs[0], *made);
  return true;
}

}  // namespace

bool compile_max_pool(ProgramBuilder& builder, const Group& group) {
  return compile_pool(builder, group, algorithm::pooling_max);
}

bool compile_average_pool(ProgramBuilder& builder, const Group& group) {
  const bool include = builder.network().node(group.nodes[0]).integer("count_include_pad", 0) != 0;
  return compile_pool(builder, group,
                      include ? algorithm::pooling_avg_include_padding : algorithm::pooling_avg_exclude_padding);
}

std::optional<ValueId> add_global_average(ProgramBuilder& builder, TensorId in) {
  const Shape& x = builder.network().tensor(in).shape;
  if (!builder.is_float(in) || builder.constant(in) || x.size() < 3 || x.size() > 5) return std::nullopt;
  const Dims kernel(x.begin() + 2, x.end()), ones(kernel.size(), 1), zeros(kernel.size(), 0);
  Dims target{x[0], x[1]};
  target.insert(target.end(), ones.begin(), ones.end());
  return add_pool(builder, in, target, {algorithm::pooling_avg_exclude_padding, kernel, ones, zeros, zeros, zeros});
}

bool compile_global_average_pool(ProgramBuilder& builder, const Group& group) {
  const Node& node = builder.network().node(group.nodes[0]);
  const auto made = add_global_average(builder, node.inputs[0]);
  if (made) builder.define(node.outputs[0], *made);
  return made.has_value();
}

}  // namespace bitplan
