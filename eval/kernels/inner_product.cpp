#include "eval/kernels/kernel_table.hpp"
#include "eval/kernels/post_ops.hpp"

namespace bitplan {

namespace {

/// Y [m, n] = X [m, k] W' + b, the layer's weight lying as `onnx` says when seen as [n, k].
struct ProductPlan {
  std::int64_t m, n, k;
  Layout onnx;
  float factor = 1;         ///< of the weight
  std::vector<float> bias;  ///< n values or none
};

bool compile_product(ProgramBuilder& builder, const Group& group, const Layer& layer, const ProductPlan& plan) {
  using Forward = dnnl::inner_product_forward;
  const Layout source = plain_layout({plan.m, plan.k}), target = plain_layout({plan.m, plan.n});
  const TensorId input = layer.input, output = output_of(builder, group);
  for (const PostOp& op : group.post_ops)
    if (op.addend != kNoTensor && builder.network().tensor(output).shape.size() != 2) return false;
  const Operand x =
      builder.view(builder.layer_as(layer.id, plain_layout(builder.network().tensor(input).shape)), {plan.m, plan.k});
  const FusedOutput fused = fuse_output(builder, group, target, x);
  const auto kind = dnnl::prop_kind::forward_inference;
  const auto desc = plan.bias.empty()
                        ? Forward::desc(kind, source, any_layout({plan.n, plan.k}), target)
                        : Forward::desc(kind, source, any_layout({plan.n, plan.k}), plain_layout({plan.n}), target);
  const Forward::primitive_desc pd(desc, fused.attributes, builder.engine(), true);
  if (!pd || (is_reference(pd.impl_info_str()) && !group.post_ops.empty())) return false;

  std::vector<ProgramBuilder::Argument> arguments{{DNNL_ARG_SRC, x},
                                                  {DNNL_ARG_WEIGHTS, ProgramBuilder::weight(layer.id)}};
  if (!plan.bias.empty())
    arguments.push_back({DNNL_ARG_BIAS, {.value = builder.make_constant(plain_layout({plan.n}), plan.bias)}});
  builder.pack(layer.id, plan.onnx, pd.weights_desc(), plan.factor);
  const ValueId y = bind_output(builder, group, fused, target, arguments);
  builder.add(Forward(pd), pd.scratchpad_desc(), std::move(arguments), {{DNNL_ARG_DST, {.value = y}}});
  builder.define(output, builder.view(y, builder.network().tensor(output).shape));
  return true;
}

/// Gemm's C as one value a column, times beta; nothing when it is not constant or differs between rows.
std::optional<std::vector<float>> gemm_bias(const ProgramBuilder& builder, const Node& node, std::int64_t n) {
  if (node.inputs.size() < 3 || node.inputs[2] == kNoTensor) return std::vector<float>();
  const Tensor* c = builder.constant(node.inputs[2]);
  if (!c) return std::nullopt;
  const auto count = static_cast<std::int64_t>(c->size());
  const bool row = count == n && !c->shape().empty() && c->shape().back() == n;
  if (!row && count != 1) return std::nullopt;
  std::vector<float> bias(static_cast<std::size_t>(n));
  for (std::size_t j = 0; j < bias.size(); ++j) bias[j] = c->values<float>()[row ? j : 0] * node.number("beta", 1);
  return bias;
}

/// Shape of a stack of matrices for oneDNN's matmul: rank `rank`, leading ones added.
Dims stack_dims(const Shape& shape, std::size_t rank) {
  Dims dims(rank - shape.size(), 1);
  dims.insert(dims.end(), shape.begin(), shape.end());
  return dims;
}

/// The product of two stacks of matrices that are both computed.
bool compile_stacks(ProgramBuilder& builder, const Node& node) {
  const Network& net = builder.network();
  const Shape &a = net.tensor(node.inputs[0]).shape, &b = net.tensor(node.inputs[1]).shape,
              &y = net.tensor(node.outputs[0]).shape;
  if (a.size() < 2 || b.size() < 2 || !builder.is_float(node.outputs[0]) || !builder.is_float(node.inputs[0]))
    return false;
  const Dims ad = stack_dims(a, y.size()), bd = stack_dims(b, y.size());
  const dnnl::matmul::desc desc(plain_layout(ad), plain_layout(bd), plain_layout(y));
  const dnnl::matmul::primitive_desc pd(desc, workspace_attributes(), builder.engine(), true);
  if (!pd) return false;
  const Operand av = builder.view(builder.plain(node.inputs[0]), ad),
                bv = builder.view(builder.plain(node.inputs[1]), bd);
  const ValueId out = builder.make(DType::f32, y);
  builder.add(dnnl::matmul(pd), pd.scratchpad_desc(), {{DNNL_ARG_SRC, av}, {DNNL_ARG_WEIGHTS, bv}},
              {{DNNL_ARG_DST, {.value = out}}});
  builder.define(node.outputs[0], out);
  return true;
}

}  // namespace

bool compile_gemm(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const Layer* layer = builder.layer_of(group.nodes[0]);
  if (!layer || layer->weight != node.inputs[1] || node.integer("transA", 0) != 0 || !builder.is_float(node.outputs[0]))
    return false;
  const Shape& y = net.tensor(node.outputs[0]).shape;
  const std::int64_t k = net.tensor(node.inputs[0]).shape[1], n = y[1];
  const auto bias = gemm_bias(builder, node, n);
  if (!bias) return false;
  const bool transposed = node.integer("transB", 0) != 0;
  const Layout onnx = strided_layout({n, k}, transposed ? Dims{k, 1} : Dims{1, n});
  return compile_product(builder, group, *layer, {y[0], n, k, onnx, node.number("alpha", 1), *bias});
}

bool compile_matmul(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const Layer* layer = builder.layer_of(group.nodes[0]);
  if (!layer) return group.post_ops.empty() && compile_stacks(builder, node);
  const Shape& x = net.tensor(node.inputs[0]).shape;
  const Shape& w = net.tensor(layer->weight).shape;
  if (layer->weight != node.inputs[1] || w.size() != 2 || x.size() < 2 || !builder.is_float(node.outputs[0]))
    return false;
  const std::int64_t k = w[0], n = w[1], m = element_count(x) / k;
  return compile_product(builder, group, *layer, {m, n, k, strided_layout({n, k}, {1, n}), 1, {}});
}

}  // namespace bitplan
