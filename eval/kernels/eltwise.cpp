#include "eval/kernels/eltwise.hpp"

#include <cmath>
#include <limits>

#include "eval/executor/graph_patterns.hpp"
#include "eval/kernels/kernel_table.hpp"

namespace bitplan {

namespace {

using dnnl::algorithm;

/// A bound of Clip: `fallback` when it is left out, nothing when it is not constant.
std::optional<float> clip_bound(const Network& network, const Node& node, std::size_t i, float fallback) {
  if (i >= node.inputs.size() || node.inputs[i] == kNoTensor) return fallback;
  const auto& bound = network.tensor(node.inputs[i]).constant;
  if (!bound || bound->dtype() != DType::f32 || bound->size() != 1) return std::nullopt;
  return bound->values<float>()[0];
}

std::optional<std::vector<Eltwise>> clip(const Network& network, const Node& node) {
  constexpr float kMax = std::numeric_limits<float>::max();
  const auto low = clip_bound(network, node, 1, -kMax), high = clip_bound(network, node, 2, kMax);
  if (!low || !high || *low > *high) return std::nullopt;
  return std::vector<Eltwise>{{algorithm::eltwise_clip, *low, *high}};
}

}  // namespace

std::optional<std::vector<Eltwise>> eltwise_of(const Network& network, const Node& node) {
  if (network.tensor(node.inputs[0]).dtype != DType::f32) return std::nullopt;
  const auto one = [](algorithm a, float alpha = 0, float beta = 0) { return std::vector<Eltwise>{{a, alpha, beta}}; };
  if (node.op == "Relu") return one(algorithm::eltwise_relu);
  if (node.op == "LeakyRelu") return one(algorithm::eltwise_relu, node.number("alpha", 0.01F));
  if (node.op == "Elu") return one(algorithm::eltwise_elu, node.number("alpha", 1));
  if (node.op == "Sigmoid") return one(algorithm::eltwise_logistic);
  if (node.op == "Tanh") return one(algorithm::eltwise_tanh);
  if (node.op == "HardSwish") return one(algorithm::eltwise_hardswish);
  if (node.op == "HardSigmoid")
    return std::vector<Eltwise>{{algorithm::eltwise_linear, node.number("alpha", 0.2F), node.number("beta", 0.5F)},
                                {algorithm::eltwise_clip, 0, 1}};
  if (node.op == "Gelu") return std::vector<Eltwise>{gelu_eltwise(node.text("approximate", "none") == "tanh")};
  if (node.op == "Clip") return clip(network, node);
  return std::nullopt;
}

std::optional<std::vector<Eltwise>> linear_of(const Network& network, const Node& node, TensorId x) {
  if (node.inputs.size() != 2 || node.inputs[0] == node.inputs[1] || network.tensor(x).dtype != DType::f32 ||
      network.tensor(node.outputs[0]).shape != network.tensor(x).shape)
    return std::nullopt;
  const bool first = node.inputs[0] == x;
  const auto c = scalar_constant(network, node.inputs[first ? 1 : 0]);
  if (!c) return std::nullopt;
  const auto line = [](float alpha, float beta) {
    return std::vector<Eltwise>{{algorithm::eltwise_linear, alpha, beta}};
  };
  if (node.op == "Mul") return line(*c, 0);
  if (node.op == "Add") return line(1, *c);
  if (node.op == "Sub") return first ? line(1, -*c) : line(-1, *c);
  if (node.op == "Div" && first && std::isfinite(1 / *c)) return line(1 / *c, 0);
  return std::nullopt;
}

Eltwise gelu_eltwise(bool tanh) { return {tanh ? algorithm::eltwise_gelu_tanh : algorithm::eltwise_gelu_erf, 0, 0}; }

std::optional<Eltwise> gated_eltwise_of(const Network& network, NodeId gate_id, NodeId product_id) {
  const Node &gate = network.node(gate_id), &product = network.node(product_id);
  if (product.op != "Mul" || network.tensor(product.outputs[0]).dtype != DType::f32) return std::nullopt;
  const TensorId x = gate.inputs[0], g = gate.outputs[0];
  const bool reads_both =
      (product.inputs[0] == x && product.inputs[1] == g) || (product.inputs[0] == g && product.inputs[1] == x);
  if (!reads_both || network.tensor(g).consumers.size() != 1) return std::nullopt;
  if (gate.op == "Sigmoid") return Eltwise{algorithm::eltwise_swish, 1, 0};
  const bool hard = gate.op == "HardSigmoid" && std::abs(gate.number("alpha", 0.2F) - 1.0F / 6) < 1e-6F &&
                    gate.number("beta", 0.5F) == 0.5F;
  if (hard) return Eltwise{algorithm::eltwise_hardswish, 0, 0};
  return std::nullopt;
}

namespace {

/// out = the functions of `in` in turn, in the layout of `in`, in place when that is not read later.
void add_eltwise(ProgramBuilder& builder, TensorId in, const std::vector<Eltwise>& functions, TensorId out) {
  Operand source = builder.native(in);
  const Layout layout = builder.value(source.value).layout;
  const Shape& shape = builder.network().tensor(out).shape;
  const ValueId target = builder.dies(in) ? builder.overwrite(source.value, shape) : builder.make(layout);
  for (const Eltwise& f : functions) {
    const dnnl::eltwise_forward::desc desc(dnnl::prop_kind::forward_inference, f.algorithm, layout, f.alpha, f.beta);
    const dnnl::eltwise_forward::primitive_desc pd(desc, workspace_attributes(), builder.engine());
    builder.add(dnnl::eltwise_forward(pd), pd.scratchpad_desc(), {{DNNL_ARG_SRC, source}},
                {{DNNL_ARG_DST, {.value = target}}});
    source = {.value = target};
  }
  builder.define(out, target);
}

}  // namespace

bool compile_eltwise(ProgramBuilder& builder, const Group& group) {
  const Node& node = builder.network().node(group.nodes[0]);
  const auto functions = eltwise_of(builder.network(), node);
  if (!functions || !builder.is_float(node.inputs[0])) return false;
  add_eltwise(builder, node.inputs[0], *functions, node.outputs[0]);
  return true;
}

bool compile_tanh_gelu_pattern(ProgramBuilder& builder, const Group& group) {
  const auto pattern = match_gelu(builder.network(), group.nodes.back());
  if (!pattern || !builder.is_float(pattern->input) || builder.constant(pattern->input)) return false;
  add_eltwise(builder, pattern->input, {gelu_eltwise(true)}, group.output);
  return true;
}

}  // namespace bitplan
