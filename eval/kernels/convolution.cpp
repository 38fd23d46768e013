#include <algorithm>
#include <optional>

#include "eval/kernels/convolution_plan.hpp"
#include "eval/kernels/depthwise.hpp"
#include "eval/kernels/integer_convolution.hpp"
#include "eval/kernels/kernel_table.hpp"
#include "eval/kernels/post_ops.hpp"

namespace bitplan {

namespace {

using Forward = dnnl::convolution_forward;

/// One way of doing it: an algorithm and the layouts of source and target.
struct Way {
  dnnl::algorithm algorithm;
  Layout source, target;
};

Forward::primitive_desc describe(const ConvolutionPlan& plan, const Way& way, const Layout& weights,
                                 const dnnl::primitive_attr& attributes, const dnnl::engine& engine) {
  const auto kind = dnnl::prop_kind::forward_inference;
  const Forward::desc desc(kind, way.algorithm, way.source, weights, plain_layout({plan.target[1]}), way.target,
                           plan.strides, plan.dilations, plan.pad_begin, plan.pad_end);
  return Forward::primitive_desc(desc, attributes, engine, true);
}

/// Winograd's F(4x4, 3x3) (Lavin & Gray 2016, arXiv:1509.09308) multiplies a quarter as often, for weights four times
/// as large. Measured 1.6 to 2.3 times as fast from 32 channels and 8x8 pixels on; at 4x4 pixels, one tile an image, 1.5
/// times with 32 images (320 channels), not with few.
bool suits_winograd(const ConvolutionPlan& plan) {
  const Dims ones(2, 1);
  if (plan.weights.size() != 4 || plan.weights[2] != 3 || plan.weights[3] != 3 || plan.strides != ones ||
      plan.dilations != Dims(2, 0))
    return false;
  const std::int64_t channels = std::min(plan.source[1], plan.target[1]);
  const std::int64_t pixels = std::min(plan.target[2], plan.target[3]);
  return (channels >= 32 && pixels >= 8) || (channels >= 256 && pixels == 4 && plan.source[0] >= 32);
}

/// Blocks of channels first: measured faster than channels last, which oneDNN itself prefers on CPUs with AMX, by up to
/// 1.5 times (first layers, small images, depthwise), and never much slower. A few channels are read row-major.
std::vector<Way> ways_of(const ConvolutionPlan& plan, bool plain_source) {
  constexpr auto direct = dnnl::algorithm::convolution_direct;
  std::vector<Way> ways;
  for (const int block : {16, 8}) {
    const Layout source = blocked_layout(plan.source, block), target = blocked_layout(plan.target, block);
    if (plain_source && plan.source[1] <= 4) ways.push_back({direct, plain_layout(plan.source), target});
    if (suits_winograd(plan)) ways.push_back({dnnl::algorithm::convolution_winograd, source, target});
    ways.push_back({direct, source, target});
  }
  ways.push_back({direct, any_layout(plan.source), any_layout(plan.target)});
  return ways;
}

/// The first way that oneDNN has optimised code for.
std::optional<Way> best_way(const ConvolutionPlan& plan, bool plain_source, const Layout& weights,
                            const dnnl::engine& engine) {
  const std::vector<Way> ways = ways_of(plan, plain_source);
  for (const Way& way : ways) {
    const auto pd = describe(plan, way, weights, workspace_attributes(), engine);
    if (pd && (!is_reference(pd.impl_info_str()) || &way == &ways.back()))
      return Way{way.algorithm, pd.src_desc(), pd.dst_desc()};
  }
  return std::nullopt;
}

}  // namespace

bool compile_convolution(ProgramBuilder& builder, const Group& group) {
  const Node& node = builder.network().node(group.nodes[0]);
  const Layer* layer = builder.layer_of(group.nodes[0]);
  const std::size_t rank = builder.network().tensor(node.outputs[0]).shape.size();
  if (!layer || layer->weight != node.inputs[1] || rank < 3 || rank > 5 || !builder.is_float(node.outputs[0]))
    return false;
  if (builder.integer_form(layer->id) != IntegerForm::none) return compile_integer(builder, group, *layer);
  const ConvolutionPlan plan = plan_convolution(builder.network(), *layer);
  const Tensor* bias = plan.bias ? builder.constant(node.inputs[2]) : nullptr;
  if (plan.bias && !bias) return false;

  const Operand native = builder.layer_native(layer->id);
  const Layout weights = builder.weight_layout(layer->id, plan.weights);
  const auto way = best_way(plan, builder.value(native.value).plain, weights, builder.engine());
  if (!way) return false;
  std::vector<float> biases(static_cast<std::size_t>(plan.target[1]));
  if (bias) std::ranges::copy(bias->values<float>(), biases.begin());
  if (compile_depthwise(builder, group, *layer, plan, way->source, way->target, biases)) return true;
  const FusedOutput fused = fuse_output(builder, group, way->target, native);
  const auto pd = describe(plan, *way, weights, fused.attributes, builder.engine());
  if (!pd || (is_reference(pd.impl_info_str()) && !group.post_ops.empty())) return false;

  std::vector<ProgramBuilder::Argument> arguments{{DNNL_ARG_SRC, builder.layer_as(layer->id, way->source)},
                                                  {DNNL_ARG_WEIGHTS, ProgramBuilder::weight(layer->id)}};
  builder.pack(layer->id, plain_layout(plan.weights), pd.weights_desc());
  arguments.push_back({DNNL_ARG_BIAS, builder.bias(layer->id, std::move(biases))});
  const ValueId out = bind_output(builder, group, fused, way->target, arguments);
  builder.add(Forward(pd), pd.scratchpad_desc(), std::move(arguments), {{DNNL_ARG_DST, {.value = out}}});
  builder.define(output_of(builder, group), out);
  return true;
}

}  // namespace bitplan
