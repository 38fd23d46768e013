#include "eval/kernels/kernel_table.hpp"
#include "eval/kernels/strided_operand.hpp"

namespace bitplan {

namespace {

/// `seen`, a view of a row-major value, copied into a new one for `out`.
void copy_view(ProgramBuilder& builder, const StridedOperand& seen, TensorId out) {
  const TensorInfo& info = builder.network().tensor(out);
  const ValueId target = builder.make(info.dtype, info.shape);
  std::vector<StridedCopyStep::Part> parts;
  parts.push_back({seen.base, {seen.copy_job()}});
  builder.add(std::make_unique<StridedCopyStep>(std::move(parts), target, size_of(info.dtype), std::nullopt),
              {seen.base}, {target});
  builder.define(out, target);
}

}  // namespace

/// Floats are only seen with other strides: who needs them dense copies them. Other types are copied here.
bool compile_transpose(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const TensorId in = node.inputs[0], out = node.outputs[0];
  const TensorInfo& info = net.tensor(out);
  std::vector<std::int64_t> order;
  for (std::size_t d = info.shape.size(); d-- > 0;) order.push_back(static_cast<std::int64_t>(d));
  order = node.integers("perm", order);
  if (builder.is_float(in)) {
    builder.define_strided(out, builder.strided(in).permuted(order));
    return true;
  }
  if (element_count(info.shape) == 0) return false;
  copy_view(builder, whole_operand(builder.plain(in), net.tensor(in).shape).permuted(order), out);
  return true;
}

/// Y[n, c, h b + i, w b + j] = X[n, (i b + j) C + c, h, w], or X[n, c b b + i b + j, h, w] in mode CRD.
bool compile_depth_to_space(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const Shape &x = net.tensor(node.inputs[0]).shape, &y = net.tensor(node.outputs[0]).shape;
  if (element_count(y) == 0) return false;
  const std::int64_t b = node.integer("blocksize", 1), plane = x[2] * x[3];
  const bool depth_first = node.text("mode", "DCR") == "DCR";
  const std::int64_t channel = (depth_first ? 1 : b * b) * plane, within = (depth_first ? y[1] : 1) * plane;
  copy_view(builder,
            {builder.plain(node.inputs[0]),
             0,
             {x[0], y[1], x[2], b, x[3], b},
             {x[1] * plane, channel, x[3], b * within, 1, within},
             Dims(6, 1)},
            node.outputs[0]);
  return true;
}

/// Y[n, (i b + j) C + c, h, w] = X[n, c, h b + i, w b + j]
bool compile_space_to_depth(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const Shape &x = net.tensor(node.inputs[0]).shape, &y = net.tensor(node.outputs[0]).shape;
  if (element_count(y) == 0) return false;
  const std::int64_t b = node.integer("blocksize", 1);
  copy_view(builder,
            {builder.plain(node.inputs[0]),
             0,
             {x[0], b, b, x[1], y[2], y[3]},
             {x[1] * x[2] * x[3], x[3], 1, x[2] * x[3], b * x[3], b},
             Dims(6, 1)},
            node.outputs[0]);
  return true;
}

}  // namespace bitplan
