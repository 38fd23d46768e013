#include "eval/kernels/convolution_plan.hpp"
#include "eval/kernels/integer_convolution.hpp"
#include "eval/kernels/kernel_table.hpp"
#include "eval/kernels/post_ops.hpp"

namespace bitplan {

namespace {

/// Y [m, n] = X [m, k] W' + b, the layer's weight lying as `onnx` says when seen as [n, k].
struct ProductPlan {
  std::int64_t m, n, k;
  Layout onnx;
  float factor = 1;         ///< of the weight
  std::vector<float> bias;  ///< n values; none: zeros
};

/// What follows the product, as oneDNN attributes: element-wise functions, and a residual sum which overwrites its
/// addend when nobody reads that later.
struct ProductOutput {
  dnnl::primitive_attr attributes;
  Operand addend;         ///< seen as [m, n]; no value: no sum
  bool in_place = false;  ///< the addend's memory becomes the result's
  int position = 0;       ///< of the sum among the post-ops
};

ProductOutput product_output(ProgramBuilder& builder, const Group& group, const Shape& matrix, const Operand& source) {
  ProductOutput result;
  dnnl::post_ops ops;
  for (const PostOp& op : group.post_ops) {
    for (const Eltwise& f : op.eltwise) ops.append_eltwise(1, f.algorithm, f.alpha, f.beta);
    if (op.addend == kNoTensor) continue;
    const Operand plain = builder.plain(op.addend);
    result.addend = builder.view(plain, matrix);
    result.position = ops.len();
    result.in_place = plain.value == builder.native(op.addend).value && builder.dies(op.addend) &&
                      !builder.share_storage(source, plain.value);
    if (result.in_place)
      ops.append_sum(1);
    else
      ops.append_binary(dnnl::algorithm::binary_add, plain_layout(matrix));
  }
  result.attributes = workspace_attributes();
  result.attributes.set_post_ops(ops);
  return result;
}

bool compile_product(ProgramBuilder& builder, const Group& group, const Layer& layer, const ProductPlan& plan) {
  using Forward = dnnl::inner_product_forward;
  const Shape matrix{plan.m, plan.n};
  const Layout source = plain_layout({plan.m, plan.k}), target = plain_layout(matrix);
  const TensorId input = layer.input, output = output_of(builder, group);
  const Operand x =
      builder.view(builder.layer_as(layer.id, plain_layout(builder.network().tensor(input).shape)), {plan.m, plan.k});
  const ProductOutput made = product_output(builder, group, matrix, x);
  const auto kind = dnnl::prop_kind::forward_inference;
  const Layout weights = builder.weight_layout(layer.id, {plan.n, plan.k});
  const Forward::desc desc(kind, source, weights, plain_layout({plan.n}), target);
  const Forward::primitive_desc pd(desc, made.attributes, builder.engine(), true);
  if (!pd || (is_reference(pd.impl_info_str()) && !group.post_ops.empty())) return false;

  std::vector<ProgramBuilder::Argument> arguments{{DNNL_ARG_SRC, x},
                                                  {DNNL_ARG_WEIGHTS, ProgramBuilder::weight(layer.id)}};
  if (made.addend.value != kNoValue && !made.in_place)
    arguments.push_back({DNNL_ARG_ATTR_MULTIPLE_POST_OP(made.position) | DNNL_ARG_SRC_1, made.addend});
  builder.pack(layer.id, plan.onnx, pd.weights_desc(), plan.factor);
  auto bias = plan.bias;
  bias.resize(static_cast<std::size_t>(plan.n));
  arguments.push_back({DNNL_ARG_BIAS, builder.bias(layer.id, std::move(bias))});
  const ValueId y = made.in_place ? builder.overwrite(made.addend.value, matrix) : builder.make(target);
  builder.add(Forward(pd), pd.scratchpad_desc(), std::move(arguments), {{DNNL_ARG_DST, {.value = y}}});
  builder.define(output, builder.view(y, builder.network().tensor(output).shape));
  return true;
}

/// The row that an Add behind a MatMul adds.
std::vector<float> row_bias(const ProgramBuilder& builder, TensorId row) {
  if (row == kNoTensor) return {};
  const auto values = builder.constant(row)->values<float>();
  return {values.begin(), values.end()};
}

}  // namespace

bool compile_gemm(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const Layer* layer = builder.layer_of(group.nodes[0]);
  if (!layer || layer->weight != node.inputs[1] || node.integer("transA", 0) != 0 || !builder.is_float(node.outputs[0]))
    return false;
  if (builder.integer_form(layer->id) != IntegerForm::none) return compile_integer(builder, group, *layer);
  const Shape& y = net.tensor(node.outputs[0]).shape;
  const std::int64_t k = net.tensor(node.inputs[0]).shape[1], n = y[1];
  const auto bias = added_row(net, node, 2, n, node.number("beta", 1));
  if (!bias) return false;
  const bool transposed = node.integer("transB", 0) != 0;
  const Layout onnx = strided_layout({n, k}, transposed ? Dims{k, 1} : Dims{1, n});
  return compile_product(builder, group, *layer, {y[0], n, k, onnx, node.number("alpha", 1), *bias});
}

bool compile_matmul(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const Layer* layer = builder.layer_of(group.nodes[0]);
  if (!layer) return compile_stack_product(builder, group);
  if (builder.integer_form(layer->id) != IntegerForm::none) return compile_integer(builder, group, *layer);
  const Shape& x = net.tensor(node.inputs[0]).shape;
  const auto w = matrix_of(net.tensor(layer->weight).shape);
  if (layer->weight != node.inputs[1] || !w || x.size() < 2 || !builder.is_float(node.outputs[0])) return false;
  const std::int64_t k = w->rows, n = w->columns, m = element_count(x) / k;
  return compile_product(builder, group, *layer,
                         {m, n, k, strided_layout({n, k}, {1, n}), 1, row_bias(builder, group.bias)});
}

}  // namespace bitplan
