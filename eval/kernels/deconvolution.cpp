#include <algorithm>

#include "eval/kernels/kernel_table.hpp"
#include "model/spatial.hpp"

namespace bitplan {

namespace {

using Forward = dnnl::deconvolution_forward;

/// A ConvTranspose in oneDNN's terms: weights [G, O/G, I/G, ...] (the group dimension only for G > 1), lying in the
/// file as [I, O/G, ...].
struct DeconvolutionPlan {
  Dims source, target, weights, weight_strides;
  Dims strides, dilations, pad_begin, pad_end;
};

std::optional<DeconvolutionPlan> plan_deconvolution(const Network& net, const Node& node, const Layer& layer) {
  DeconvolutionPlan plan;
  plan.source = net.tensor(layer.input).shape;
  plan.target = net.tensor(node.outputs[0]).shape;
  const Shape& w = net.tensor(layer.weight).shape;
  const Dims file = plain_placement(w).strides, kernel(w.begin() + 2, w.end());
  const std::int64_t groups = node.integer("group", 1);
  plan.weights = {w[1], w[0] / groups};
  plan.weight_strides = {file[1], file[0]};
  if (groups > 1) {
    plan.weights.insert(plan.weights.begin(), groups);
    plan.weight_strides.insert(plan.weight_strides.begin(), file[0] * (w[0] / groups));
  }
  plan.weights.insert(plan.weights.end(), kernel.begin(), kernel.end());
  plan.weight_strides.insert(plan.weight_strides.end(), file.begin() + 2, file.end());
  std::size_t d = 2;
  for (const Window& window : conv_transpose_windows(node, plan.source, kernel)) {
    plan.strides.push_back(window.stride);
    plan.dilations.push_back(window.dilation - 1);
    plan.pad_begin.push_back(window.pad_begin);
    const std::int64_t whole = (plan.source[d] - 1) * window.stride + (window.kernel - 1) * window.dilation + 1;
    plan.pad_end.push_back(whole - window.pad_begin - plan.target[d]);
    if (window.pad_begin < 0 || plan.pad_end.back() < 0) return std::nullopt;
    ++d;
  }
  return plan;
}

}  // namespace

bool compile_conv_transpose(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const Layer* layer = builder.layer_of(group.nodes[0]);
  if (!layer || layer->weight != node.inputs[1] || !builder.is_float(node.outputs[0])) return false;
  const auto plan = plan_deconvolution(net, node, *layer);
  const bool biased = node.inputs.size() > 2 && node.inputs[2] != kNoTensor;
  const Tensor* bias = biased ? builder.constant(node.inputs[2]) : nullptr;
  if (!plan || (biased && !bias)) return false;
  const auto kind = dnnl::prop_kind::forward_inference;
  const auto algorithm = dnnl::algorithm::deconvolution_direct;
  const Layout source = any_layout(plan->source), weights = builder.weight_layout(layer->id, plan->weights),
               target = any_layout(plan->target);
  const Forward::desc desc(kind, algorithm, source, weights, plain_layout({plan->target[1]}), target, plan->strides,
                           plan->dilations, plan->pad_begin, plan->pad_end);
  const Forward::primitive_desc pd(desc, workspace_attributes(), builder.engine(), true);
  if (!pd) return false;
  std::vector<ProgramBuilder::Argument> arguments{{DNNL_ARG_SRC, builder.layer_as(layer->id, pd.src_desc())},
                                                  {DNNL_ARG_WEIGHTS, ProgramBuilder::weight(layer->id)}};
  std::vector<float> biases(static_cast<std::size_t>(plan->target[1]));
  if (bias) std::ranges::copy(bias->values<float>(), biases.begin());
  arguments.push_back({DNNL_ARG_BIAS, builder.bias(layer->id, std::move(biases))});
  builder.pack(layer->id, strided_layout(plan->weights, plan->weight_strides), pd.weights_desc());
  const ValueId y = builder.make(pd.dst_desc());
  builder.add(Forward(pd), pd.scratchpad_desc(), std::move(arguments), {{DNNL_ARG_DST, {.value = y}}});
  builder.define(node.outputs[0], y);
  return true;
}

}  // namespace bitplan
