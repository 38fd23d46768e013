#include "eval/kernels/integer_layer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "eval/kernels/builder.hpp"
#include "eval/kernels/eltwise.hpp"

namespace bitplan {

namespace {

using Forward = dnnl::convolution_forward;
using Type = dnnl::memory::data_type;

/// Implementations that multiply 8 bits and add in 32 (VNNI, AMX); the others add pairs in 16 bits and saturate.
bool is_exact(const std::string& implementation) {
  return !is_reference(implementation) &&
         (implementation.find("vnni") != std::string::npos || implementation.find("amx") != std::string::npos);
}

/// oneDNN 2.6's AMX and AVX2 kernels read wrong cells of the image, or crash, where the filter is dilated, padding is
/// wider than half of it, or a step is longer than it (1x1 excepted): for instance 3x3 with dilation 4 and padding 4
/// over 9x9 pixels, 7x7 with 6 columns of padding on one side, 1x3 in steps of 2. Its AVX2 kernel loses channels of
/// depthwise filters beyond the last 8. None of 3,000 random filters beside these was wrong.
bool is_right(const ConvolutionPlan& plan, const std::string& implementation) {
  const bool avx2 = implementation.find("avx2") != std::string::npos;
  if (!avx2 && implementation.find("amx") == std::string::npos) return true;
  const std::size_t axes = plan.dilations.size();
  const bool depthwise = plan.weights.size() == axes + 3 && plan.weights[1] == 1;
  if (avx2 && depthwise && plan.channels() % 8 != 0) return false;
  const Dims filter(plan.weights.end() - static_cast<std::ptrdiff_t>(axes), plan.weights.end());
  const bool pointwise = filter == Dims(axes, 1);
  for (std::size_t d = 0; d < axes; ++d) {
    if (plan.dilations[d] > 0 || plan.pad_begin[d] > filter[d] / 2 || plan.pad_end[d] > filter[d] / 2) return false;
    if (plan.strides[d] > filter[d] && !pointwise) return false;
  }
  return true;
}

Layout signed_bytes(const Dims& dims, const Dims& strides) { return Layout(dims, Type::s8, strides); }

std::optional<IntegerLayer> convolution(const Network& network, const Layer& layer) {
  IntegerLayer result{.plan = plan_convolution(network, layer)};
  if (network.tensor(layer.output).shape.size() != 4) return std::nullopt;
  result.onnx = signed_bytes(result.plan.weights, plain_placement(result.plan.weights).strides);
  return result;
}

std::optional<IntegerLayer> product(const Network& network, const Layer& layer, const Node& node) {
  const Shape& x = network.tensor(layer.input).shape;
  const auto w = matrix_of(network.tensor(layer.weight).shape);
  if (x.size() < 2 || !w || node.integer("transA", 0) != 0) return std::nullopt;
  const bool transposed = node.op == "Gemm" && node.integer("transB", 0) != 0;
  const std::int64_t k = transposed ? w->columns : w->rows, n = transposed ? w->rows : w->columns;
  IntegerLayer result{.plan = plan_product(element_count(x) / k, k, n), .product = true};
  result.onnx = signed_bytes(result.plan.weights, transposed ? Dims{k, 1, 1, 1} : Dims{1, n, 1, 1});
  if (node.op == "Gemm") result.factor = node.number("alpha", 1);
  return result;
}

/// The least power of two, of 1 … 64, of which all zero points are multiples of the inverse; 0 when there is none.
float steps_between_codes(std::span<const float> zero_points) {
  float steps = 1;
  for (const float zero : zero_points)
    while (steps <= 64 && std::nearbyint(zero * steps) != zero * steps) steps *= 2;
  return steps <= 64 ? steps : 0.0F;
}

}  // namespace

bool integer_kernels() {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::avx2_vnni:
    case dnnl::cpu_isa::avx512_core_vnni:
    case dnnl::cpu_isa::avx512_core_bf16:
    case dnnl::cpu_isa::avx512_core_amx:
      return true;
    default:
      return false;
  }
}

Clamp clamp_of(const Network& network, TensorId tensor) {
  const NodeId producer = network.tensor(tensor).producer;
  if (producer < 0) return {};
  const auto functions = eltwise_of(network, network.node(producer));
  if (!functions || functions->size() != 1) return {};
  const Eltwise& f = functions->front();
  if (f.algorithm == dnnl::algorithm::eltwise_relu && f.alpha == 0) return {.low = 0};
  if (f.algorithm == dnnl::algorithm::eltwise_clip) return {f.alpha, f.beta};
  return {};
}

bool fills_byte(const Affine& quantizer, const Clamp& clamp) {
  if (quantizer.q_max - quantizer.q_min != 255) return false;
  const float inverse = 1 / quantizer.scale;
  const auto level = [&](float v) { return std::nearbyint(v * inverse) + static_cast<float>(quantizer.zero_point); };
  return level(clamp.low) <= static_cast<float>(quantizer.q_min) &&
         static_cast<float>(quantizer.q_max) <= level(clamp.high);
}

Forward::primitive_desc describe_integer(const IntegerLayer& layer, IntegerForm form, const Layout& weights,
                                         const Layout& target, const dnnl::post_ops& post_ops,
                                         const dnnl::engine& engine) {
  const ConvolutionPlan& plan = layer.plan;
  dnnl::primitive_attr attributes = workspace_attributes();
  attributes.set_post_ops(post_ops);
  if (form == IntegerForm::shifted) attributes.set_zero_points(DNNL_ARG_SRC, 0, {DNNL_RUNTIME_S32_VAL});
  const Forward::desc desc(dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
                           channels_last(plan.source, Type::u8), weights, plain_layout({plan.channels()}), target,
                           plan.strides, plan.dilations, plan.pad_begin, plan.pad_end);
  Forward::primitive_desc pd(desc, attributes, engine, true);
  while (pd && !is_right(plan, pd.impl_info_str()))
    if (!pd.next_impl()) return {};
  return pd && is_exact(pd.impl_info_str()) ? pd : Forward::primitive_desc();
}

std::optional<IntegerLayer> integer_layer(const Network& network, const Layer& layer, const dnnl::engine& engine) {
  const Node& node = network.node(layer.node);
  if (!integer_kernels() || layer.weight != node.inputs[1] || network.tensor(layer.input).dtype != DType::f32)
    return std::nullopt;
  std::optional<IntegerLayer> result;
  if (node.op == "Conv") result = convolution(network, layer);
  if (node.op == "Gemm" || node.op == "MatMul") result = product(network, layer, node);
  if (!result) return std::nullopt;
  const auto bias = added_row(network, node, 2, result->plan.channels(), node.number("beta", 1));
  if (!bias) return std::nullopt;
  result->bias = *bias;
  const ConvolutionPlan& plan = result->plan;
  dnnl::post_ops scale;
  scale.append_binary(dnnl::algorithm::binary_mul, plain_layout({1, plan.channels(), 1, 1}));
  for (const IntegerForm form : {IntegerForm::centered, IntegerForm::shifted}) {
    const auto pd = describe_integer(*result, form, Layout(plan.weights, Type::s8, dnnl::memory::format_tag::any),
                                     channels_last(plan.target, Type::f32), scale, engine);
    if (pd) result->packed[static_cast<std::size_t>(form)] = pd.weights_desc();
  }
  if (!result->has(IntegerForm::centered)) return std::nullopt;
  return result;
}

std::shared_ptr<PackedWeight> pack_codes(const IntegerLayer& layer, IntegerForm form, const WeightView& view,
                                         const QuantizedWeight& weight, const dnnl::engine& engine) {
  const auto channels = static_cast<std::size_t>(view.channels);
  const std::size_t parts = weight.scales.size();
  if (!weight.column_scales.empty() || !weight.float_columns.empty()) return nullptr;
  if (weight.codes.empty() || (parts != 1 && parts != channels) || view.channels != layer.plan.channels())
    return nullptr;
  const float finer = steps_between_codes(weight.offsets);
  if (finer == 0) return nullptr;
  std::vector<std::int8_t> codes(weight.codes.size());
  auto packed = std::make_shared<PackedWeight>();
  packed->form = form;
  packed->sums.resize(channels);
  packed->scales.resize(channels);
  std::vector<std::int64_t> magnitudes(channels);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const std::size_t channel = i / static_cast<std::size_t>(view.inner) % channels;
    const std::size_t part = parts == 1 ? 0 : channel;
    const std::int32_t code = weight.offsets.empty()
                                  ? weight.codes[i] - weight.zero_points[part]
                                  : std::lrint((static_cast<float>(weight.codes[i]) - weight.offsets[part]) * finer);
    if (code < -128 || code > 127) return nullptr;
    codes[i] = static_cast<std::int8_t>(code);
    packed->sums[channel] += code;
    magnitudes[channel] += std::abs(code);
  }
  constexpr std::int64_t kMostSum = std::numeric_limits<std::int32_t>::max() / 255;
  if (std::ranges::max(magnitudes) > kMostSum) return nullptr;  // the sum of products might not fit into 32 bits
  for (std::size_t c = 0; c < channels; ++c)
    packed->scales[c] = layer.factor * weight.scales[parts == 1 ? 0 : c] / finer;

  const Layout& layout = layer.packed[static_cast<std::size_t>(form)];
  packed->engine = engine;
  packed->memory = dnnl::memory(layout, engine);
  packed->bytes = layout.get_size() + channels * (sizeof(float) + sizeof(std::int32_t));
  dnnl::memory source(layer.onnx, engine, codes.data());
  dnnl::stream stream(engine);
  dnnl::reorder(source, packed->memory).execute(stream, source, packed->memory);
  stream.wait();
  return packed;
}

}  // namespace bitplan
