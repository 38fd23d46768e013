#include "eval/kernels/depthwise.hpp"

#include <algorithm>
#include <array>

#include "eval/kernels/depthwise_plane.hpp"
#include "eval/kernels/post_ops.hpp"

namespace bitplan {

namespace {

struct Depthwise {
  DepthwiseShape shape;
  std::int64_t images, channels;
  DepthwiseFunction function;
  Clamp clamp;

  std::int64_t blocks() const { return (channels + kDepthwiseBlock - 1) / kDepthwiseBlock; }
};

struct Behind {
  DepthwiseFunction function = DepthwiseFunction::clamp;
  Clamp clamp{};
};

/// What the functions behind the convolution do, when they are one at most that the kernel has. Bounds enclose 0, so
/// that padding stays 0.
std::optional<Behind> behind(const Group& group) {
  if (group.post_ops.empty()) return Behind();
  const PostOp& op = group.post_ops[0];
  if (group.post_ops.size() > 1 || op.addend != kNoTensor || op.eltwise.size() != 1) return std::nullopt;
  const Eltwise& f = op.eltwise[0];
  if (f.algorithm == dnnl::algorithm::eltwise_relu && f.alpha == 0) return Behind{.clamp = {.low = 0}};
  if (f.algorithm == dnnl::algorithm::eltwise_clip && f.alpha <= 0 && f.beta >= 0)
    return Behind{.clamp = {f.alpha, f.beta}};
  if (f.algorithm == dnnl::algorithm::eltwise_swish && f.alpha == 1) return Behind{DepthwiseFunction::swish};
  return std::nullopt;
}

std::optional<Depthwise> depthwise_of(const ConvolutionPlan& plan, const Group& group, const Layout& source,
                                      const Layout& target) {
  const Dims& w = plan.weights;
  if (w.size() != 5 || w[0] != plan.source[1] || w[1] != 1 || w[2] != 1 || plan.dilations != Dims(2, 0))
    return std::nullopt;
  const auto functions = behind(group);
  if (!functions || !depthwise_pays(best_isa()) || plan.strides[1] > 2 ||
      !(source == blocked_layout(plan.source, kDepthwiseBlock)) ||
      !(target == blocked_layout(plan.target, kDepthwiseBlock)))
    return std::nullopt;
  Depthwise d{.shape = {.height = plan.source[2],
                        .width = plan.source[3],
                        .out_height = plan.target[2],
                        .out_width = plan.target[3],
                        .kernel_h = w[3],
                        .kernel_w = w[4],
                        .stride_h = plan.strides[0],
                        .stride_w = plan.strides[1],
                        .pad_top = plan.pad_begin[0],
                        .pad_left = plan.pad_begin[1]},
              .images = plan.source[0],
              .channels = plan.source[1],
              .function = functions->function,
              .clamp = functions->clamp};
  plan_strips(d.shape);
  return d;
}

class DepthwiseStep final : public Step {
 public:
  struct Values {
    Operand input;  ///< with a site and no quantized value: to be quantized here
    Operand weight, bias;
    OnStore store;
    ValueId output, buffer;
  };
  DepthwiseStep(const Depthwise& d, const Values& values) : d_(d), v_(values) {}

  void run(Frame& frame) const override {
    const PackedWeight& weight = frame.weight(v_.weight.weight);
    const auto* weights = static_cast<const float*>(weight.memory.get_data_handle());
    const auto* bias = weight.bias ? static_cast<const float*>(weight.bias.get_data_handle())
                                   : reinterpret_cast<const float*>(frame.read({.value = v_.bias.value}));
    const bool reads_floats = v_.input.quantized == kNoValue;
    const auto* input =
        reinterpret_cast<const float*>(frame.read(reads_floats ? Operand{.value = v_.input.value} : v_.input));
    auto* output = reinterpret_cast<float*>(frame.write(v_.output));
    const Affine* quantize = reads_floats ? frame.quantizer(v_.input.site) : nullptr;
    const Affine* stored = v_.store.begin(frame);
    const bool in_place = v_.store.from == v_.store.to;
    auto* buffer = reinterpret_cast<float*>(frame.write(v_.buffer));
    const DepthwiseShape& s = d_.shape;
    std::fill_n(buffer, s.buffer_size(), 0.0F);
    const std::int64_t size = s.out_height * s.out_width * kDepthwiseBlock;
    for (std::int64_t plane = 0; plane < d_.images * d_.blocks(); ++plane) {
      const std::int64_t block = plane % d_.blocks();
      const auto biases = biases_of(bias, block);
      const float* filters = weights + block * s.kernel_h * s.kernel_w * kDepthwiseBlock;
      depthwise_plane(best_isa(), s,
                      {input, quantize, filters, biases.data(), d_.function, d_.clamp.low, d_.clamp.high,
                       in_place ? stored : nullptr, output + plane * size},
                      buffer);
      if (stored && !in_place)
        v_.store.finish(*stored, frame, static_cast<std::size_t>(plane * size), static_cast<std::size_t>(size));
      input += s.height * s.width * kDepthwiseBlock;
    }
  }

 private:
  /// Of one block, 0 for padding.
  std::array<float, kDepthwiseBlock> biases_of(const float* bias, std::int64_t block) const {
    std::array<float, kDepthwiseBlock> result{};
    const std::int64_t first = block * kDepthwiseBlock;
    for (std::int64_t i = 0; i < std::min(kDepthwiseBlock, d_.channels - first); ++i)
      result[static_cast<std::size_t>(i)] = bias[first + i];
    return result;
  }

  Depthwise d_;
  Values v_;
};

}  // namespace

bool compile_depthwise(ProgramBuilder& builder, const Group& group, const Layer& layer, const ConvolutionPlan& plan,
                       const Layout& source, const Layout& target, std::vector<float> bias) {
  const auto depthwise = depthwise_of(plan, group, source, target);
  if (!depthwise) return false;
  const Layout packed(plan.weights, dnnl::memory::data_type::f32, dnnl::memory::format_tag::Goihw16g);
  builder.pack(layer.id, plain_layout(plan.weights), packed);

  const TensorId out = output_of(builder, group);
  DepthwiseStep::Values values{.input = builder.layer_unquantized(layer.id, source),
                               .weight = ProgramBuilder::weight(layer.id),
                               .bias = builder.bias(layer.id, std::move(bias)),
                               .store = {},
                               .output = builder.make(target),
                               .buffer = kNoValue};
  values.buffer = builder.make(plain_layout({depthwise->shape.buffer_size()}));
  values.store = builder.on_store(out, values.output);
  const std::vector<Operand> reads{values.input, values.weight, values.bias};
  builder.add(std::make_unique<DepthwiseStep>(*depthwise, values), reads, {values.output, values.buffer}, values.store);
  builder.define(out, values.output);
  return true;
}

}  // namespace bitplan
