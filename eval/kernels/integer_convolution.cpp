#include "eval/kernels/integer_convolution.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "eval/kernels/post_ops.hpp"
#include "eval/kernels/primitive_step.hpp"

namespace bitplan {

namespace {

using dnnl::algorithm;
using Type = dnnl::memory::data_type;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Where the numbers of one layer lie that depend on the candidate; written at each run, then read by the primitive.
struct Numbers {
  ValueId scale = kNoValue, bias = kNoValue;  ///< by channel
  ValueId zero_point = kNoValue;              ///< of the input's codes (shifted form)
  ValueId low = kNoValue, high = kNoValue;    ///< bounds of the codes written
  ValueId step = kNoValue, zero = kNoValue;   ///< 1 / scale and zero point of the codes written
};

/// The values that the group's Relu and Clip let through, besides a bound by channel at its end; nothing when it does
/// anything else.
std::optional<Clamp> clamp_by(const Group& group) {
  Clamp clamp;
  for (const PostOp& op : group.post_ops) {
    const bool is_last = &op == &group.post_ops.back();
    if (op.addend != kNoTensor || (op.cap != kNoTensor && !is_last)) return std::nullopt;
    for (const Eltwise& f : op.eltwise) {
      const bool relu = f.algorithm == algorithm::eltwise_relu && f.alpha == 0;
      if (!relu && f.algorithm != algorithm::eltwise_clip) return std::nullopt;
      const float low = relu ? 0 : f.alpha, high = relu ? kInfinity : f.beta;
      clamp = {std::clamp(clamp.low, low, high), std::clamp(clamp.high, low, high)};
    }
  }
  return clamp;
}

/// Everything that is fixed when the program is compiled.
struct IntegerWork {
  LayerId layer;
  SiteId input;
  SiteId output = -1;          ///< whose codes are written; -1: values
  std::optional<Clamp> clamp;  ///< codes only: all that happens to them, so that it can happen to the codes
  std::vector<float> bias;     ///< by channel
  Numbers numbers;
  std::span<const float> caps{};  ///< with clamp: a bound by channel besides; may be empty
};

class IntegerStep final : public Step {
 public:
  IntegerStep(IntegerWork work, dnnl::primitive primitive, std::vector<ProgramBuilder::Argument> arguments)
      : work_(std::move(work)), primitive_(std::move(primitive), std::move(arguments)) {}

  void run(Frame& frame) const override {
    const Affine* input = frame.quantizer(work_.input);
    const Affine* output = frame.quantizer(work_.output);
    assert(input && (output || work_.output < 0) && "the pattern asks for quantized activations");
    write_channels(frame, *input, output);
    if (output) write_bounds(frame, *output);
    primitive_.run(frame);
  }

 private:
  template <class T = float>
  static T* at(Frame& frame, ValueId value) {
    return reinterpret_cast<T*>(frame.write(value));
  }

  /// y = scale (sum + bias); for clamped codes in units of the output's step and moved by its zero point.
  void write_channels(Frame& frame, const Affine& input, const Affine* output) const {
    const PackedWeight& weight = frame.weight(work_.layer);
    const bool codes = output && work_.clamp;
    const double zero = input.zero_point - input.q_min;
    const double taken_out = weight.form == IntegerForm::centered ? zero : 0;
    const double step = codes ? output->scale : 1, offset = codes ? output->zero_point - output->q_min : 0;
    float* scales = at(frame, work_.numbers.scale);
    float* biases = at(frame, work_.numbers.bias);
    for (std::size_t c = 0; c < weight.scales.size(); ++c) {
      const double added = weight.added.empty() ? 0 : weight.added[c];
      const double b = work_.bias[c] + added + offset * step;
      const double scale = usable(static_cast<double>(input.scale) * weight.scales[c], b);
      scales[c] = static_cast<float>(scale / step);
      biases[c] = static_cast<float>(b / scale - taken_out * weight.sums[c]);
    }
    if (work_.numbers.zero_point != kNoValue)
      *at<std::int32_t>(frame, work_.numbers.zero_point) = static_cast<std::int32_t>(zero);
  }

  /// The scale of a channel, at least 1e-30 of what is added: the sum of products is nothing beside it then, and its
  /// quotient by a smaller scale would overflow. Gemm's alpha may make it negative, or 0.
  static double usable(double scale, double added) {
    const double least = std::max(std::abs(added) * 1e-30, 1e-300);
    return std::abs(scale) < least ? std::copysign(least, scale) : scale;
  }

  void write_bounds(Frame& frame, const Affine& output) const {
    const Numbers& n = work_.numbers;
    const float inverse = 1 / output.scale;
    const auto zero = static_cast<float>(output.zero_point - output.q_min);
    const auto levels = static_cast<float>(output.q_max - output.q_min);
    // Rounded first, as the float path does: then bounds and values take part in the same rounding.
    const auto code = [&](float v) { return std::clamp(std::nearbyint(v * inverse) + zero, 0.0F, levels); };
    if (n.low != kNoValue) *at(frame, n.low) = code(work_.clamp->low);
    if (n.high != kNoValue) *at(frame, n.high) = work_.clamp ? code(work_.clamp->high) : levels;
    for (std::size_t c = 0; c < work_.caps.size(); ++c)
      at(frame, n.high)[c] = code(std::clamp(work_.caps[c], work_.clamp->low, work_.clamp->high));
    if (n.step != kNoValue) *at(frame, n.step) = inverse;
    if (n.zero != kNoValue) *at(frame, n.zero) = zero;
  }

  IntegerWork work_;
  PrimitiveStep primitive_;
};

/// Collects the primitive's post-ops and what they read.
class Chain {
 public:
  explicit Chain(ProgramBuilder& builder) : builder_(builder) {}

  dnnl::post_ops ops;
  std::vector<ProgramBuilder::Argument> arguments;
  std::vector<ValueId> written;  ///< by the step itself

  ValueId number(algorithm function, std::int64_t channels = 1) {
    const Layout layout = plain_layout({1, channels, 1, 1});
    const ValueId value = scratch(layout);
    operand(function, layout, {.value = value});
    return value;
  }
  void operand(algorithm function, const Layout& layout, const Operand& operand) {
    arguments.push_back({DNNL_ARG_ATTR_MULTIPLE_POST_OP(ops.len()) | DNNL_ARG_SRC_1, operand});
    ops.append_binary(function, layout);
  }
  ValueId scratch(const Layout& layout) {
    const ValueId value = builder_.make(layout);
    written.push_back(value);
    return value;
  }

 private:
  ProgramBuilder& builder_;
};

class IntegerCompiler {
 public:
  IntegerCompiler(ProgramBuilder& builder, const Group& group, const Layer& layer)
      : builder_(builder),
        group_(group),
        layer_(layer),
        integer_(builder.integer_layer(layer.id)),
        form_(builder.integer_form(layer.id)),
        output_(output_of(builder, group)),
        floats_(channels_last(integer_.plan.target, Type::f32)) {}

  bool compile() {
    // Codes cannot say that a value is no number; what is added may be none, sums of codes are always.
    const bool sums = std::ranges::any_of(group_.post_ops, [](const PostOp& op) { return op.addend != kNoTensor; });
    const SiteId site = sums ? -1 : builder_.codes_only(output_, integer_.product);
    return (site >= 0 && compile(site)) || compile(-1);
  }

 private:
  bool compile(SiteId codes_site) {
    Chain chain(builder_);
    IntegerWork work{layer_.id, builder_.network().input_site[static_cast<std::size_t>(layer_.id)], codes_site, {}, {},
                     {}};
    work.bias = integer_.bias;
    work.bias.resize(static_cast<std::size_t>(integer_.plan.channels()));
    if (const Tensor* row = builder_.constant(group_.bias))
      for (std::size_t c = 0; c < work.bias.size(); ++c) work.bias[c] += row->values<float>()[c];
    work.numbers.scale = chain.number(algorithm::binary_mul, integer_.plan.channels());
    if (codes_site >= 0) work.clamp = clamp_by(group_);
    if (work.clamp && !group_.post_ops.empty())
      if (const Tensor* caps = builder_.constant(group_.post_ops.back().cap)) work.caps = caps->values<float>();
    std::optional<ValueId> overwritten;
    if (!work.clamp) overwritten = add_functions(chain);
    if (codes_site >= 0) add_codes(chain, work);

    const Layout target = codes_site < 0 ? floats_ : channels_last(integer_.plan.target, Type::u8);
    const auto pd = describe_integer(integer_, form_, integer_.packed[static_cast<std::size_t>(form_)], target,
                                     chain.ops, builder_.engine());
    if (!pd) return false;
    finish(chain, work, pd, overwritten ? *overwritten : builder_.make(target));
    return true;
  }

  /// Functions and sums on the values. Returns the value that the sum overwrites, if any (with a sum the target are
  /// values, see compile()).
  std::optional<ValueId> add_functions(Chain& chain) {
    std::optional<ValueId> overwritten;
    for (const PostOp& op : group_.post_ops) {
      for (const Eltwise& f : op.eltwise) chain.ops.append_eltwise(1, f.algorithm, f.alpha, f.beta);
      if (op.cap != kNoTensor)
        chain.operand(algorithm::binary_min, plain_layout(builder_.network().tensor(op.cap).shape),
                      builder_.plain(op.cap));
      if (op.addend == kNoTensor) continue;
      const ValueId native = builder_.native(op.addend).value;
      if (builder_.dies(op.addend) && is_in_place(native)) {
        overwritten = builder_.view_as(builder_.overwrite(native, builder_.value(native).shape), floats_);
        chain.ops.append_sum(1);
      } else {
        chain.operand(algorithm::binary_add, floats_, addend(op.addend));
      }
    }
    return overwritten;
  }

  /// The value lies as the target does.
  bool is_in_place(ValueId value) const {
    return integer_.product ? builder_.value(value).plain : builder_.value(value).layout == floats_;
  }

  Operand addend(TensorId tensor) {
    if (!integer_.product) return builder_.as(tensor, floats_);
    return {.value = builder_.view_as(builder_.plain(tensor).value, floats_)};
  }

  void add_codes(Chain& chain, IntegerWork& work) {
    if (!work.clamp) {
      work.numbers.step = chain.number(algorithm::binary_mul);
      work.numbers.zero = chain.number(algorithm::binary_add);
    }
    const Clamp bounds = clamp_of(builder_.network(), output_);
    const bool by_saturation = work.clamp && builder_.full_bytes() && *work.clamp == bounds;
    if (by_saturation) return;
    if (work.clamp && work.clamp->low != -kInfinity) work.numbers.low = chain.number(algorithm::binary_max);
    work.numbers.high =
        chain.number(algorithm::binary_min, work.caps.empty() ? 1 : static_cast<std::int64_t>(work.caps.size()));
  }

  void finish(Chain& chain, IntegerWork& work, const dnnl::convolution_forward::primitive_desc& pd, ValueId target) {
    const Operand source = builder_.codes(layer_.id), weight = ProgramBuilder::weight(layer_.id);
    work.numbers.bias = chain.scratch(plain_layout({integer_.plan.channels()}));
    auto& arguments = chain.arguments;
    std::vector<Operand> reads{source, weight, {.site = work.input}, {.site = work.output}};
    for (const auto& argument : arguments) reads.push_back(argument.operand);
    arguments.push_back({DNNL_ARG_SRC, source});
    arguments.push_back({DNNL_ARG_WEIGHTS, weight});
    arguments.push_back({DNNL_ARG_BIAS, {.value = work.numbers.bias}});
    arguments.push_back({DNNL_ARG_DST, {.value = target}});
    if (form_ == IntegerForm::shifted) {
      work.numbers.zero_point = chain.scratch(Layout({1}, Type::s32, dnnl::memory::format_tag::a));
      arguments.push_back({DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC, {.value = work.numbers.zero_point}});
    }
    if (pd.scratchpad_desc().get_size() > 0)
      arguments.push_back({DNNL_ARG_SCRATCHPAD, {.value = chain.scratch(pd.scratchpad_desc())}});
    std::vector<ValueId> writes = chain.written;
    writes.push_back(target);
    const SiteId codes_site = work.output;
    builder_.add(
        std::make_unique<IntegerStep>(std::move(work), dnnl::convolution_forward(pd), std::move(chain.arguments)),
        reads, writes);
    define(codes_site, target);
  }

  void define(SiteId codes_site, ValueId target) {
    const Shape& shape = builder_.network().tensor(output_).shape;
    if (codes_site >= 0)
      builder_.define_codes(output_, target);
    else
      builder_.define(output_, integer_.product ? builder_.view_as(target, plain_layout(shape)) : target);
  }

  ProgramBuilder& builder_;
  const Group& group_;
  const Layer& layer_;
  const IntegerLayer& integer_;
  IntegerForm form_;
  TensorId output_;
  Layout floats_;  ///< of the target
};

}  // namespace

bool compile_integer(ProgramBuilder& builder, const Group& group, const Layer& layer) {
  return IntegerCompiler(builder, group, layer).compile();
}

}  // namespace bitplan
