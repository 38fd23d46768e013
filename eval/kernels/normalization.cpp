#include <numeric>

#include "eval/executor/graph_patterns.hpp"
#include "eval/kernels/kernel_table.hpp"
#include "eval/kernels/row_kernels.hpp"

// LayerNormalization and RMSNormalization over trailing axes, as one operator or written out in simple ones.
namespace bitplan {

namespace {

class NormStep final : public Step {
 public:
  struct Plan {
    Operand source, scale, bias;  ///< scale and bias may be absent
    float epsilon;
    bool centered;
    std::size_t rows, columns;
  };
  NormStep(const Plan& plan, ValueId target, const OnStore& store)
      : p_(plan), target_(target), store_(store), isa_(best_isa()) {}

  bool reads_anywhere() const override { return true; }
  void run(Frame& frame) const override {
    const auto floats = [&](const Operand& operand) {
      return operand.value == kNoValue ? nullptr : reinterpret_cast<const float*>(frame.read(operand));
    };
    const NormRow norm{floats(p_.scale), floats(p_.bias), p_.epsilon, p_.centered};
    const float* x = floats(p_.source);
    auto* y = reinterpret_cast<float*>(frame.write(target_));
    store_.in_parts(frame, p_.rows * p_.columns, p_.columns, [&](std::size_t first, std::size_t count) {
      for (std::size_t i = first; i < first + count; i += p_.columns) norm_row(isa_, norm, x + i, y + i, p_.columns);
    });
  }

 private:
  Plan p_;
  ValueId target_;
  OnStore store_;
  Isa isa_;
};

/// Adds the normalization of rows of `columns` elements, in place when the input is not read later.
void add_norm(ProgramBuilder& builder, const NormPattern& norm, std::int64_t columns, TensorId out) {
  const Network& net = builder.network();
  const Shape& shape = net.tensor(out).shape;
  const Operand x = builder.plain(norm.input);
  const auto operand = [&](TensorId tensor) { return tensor == kNoTensor ? Operand() : builder.plain(tensor); };
  const NormStep::Plan plan{x,
                            operand(norm.scale),
                            operand(norm.bias),
                            norm.epsilon,
                            norm.centered,
                            static_cast<std::size_t>(element_count(shape) / columns),
                            static_cast<std::size_t>(columns)};
  const bool in_place = x.value == builder.native(norm.input).value && builder.dies(norm.input) &&
                        !builder.share_storage(plan.scale, x.value) && !builder.share_storage(plan.bias, x.value);
  const ValueId y = in_place ? builder.overwrite(x.value, shape) : builder.make(DType::f32, shape);
  std::vector<Operand> reads{x};
  for (const Operand& row : {plan.scale, plan.bias})
    if (row.value != kNoValue) reads.push_back(row);
  const OnStore store = builder.on_store(out, y);
  builder.add(std::make_unique<NormStep>(plan, y, store), reads, {y}, store);
  builder.define(out, y);
}

bool compile_norm_node(ProgramBuilder& builder, const Group& group, bool centered) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const TensorId x = node.inputs[0];
  const Shape& shape = net.tensor(x).shape;
  const bool one_output =
      std::ranges::all_of(node.outputs.begin() + 1, node.outputs.end(), [](TensorId t) { return t == kNoTensor; });
  if (!one_output || !builder.is_float(x) || builder.constant(x)) return false;
  std::int64_t axis = node.integer("axis", -1);
  axis += axis < 0 ? static_cast<std::int64_t>(shape.size()) : 0;
  const std::int64_t columns = std::accumulate(shape.begin() + axis, shape.end(), std::int64_t{1}, std::multiplies());
  NormPattern norm{
      {},      x, node.inputs[1], node.inputs.size() > 2 ? node.inputs[2] : kNoTensor, node.number("epsilon", 1e-5F),
      centered};
  for (const TensorId row : {norm.scale, norm.bias})
    if (row != kNoTensor && (!builder.is_float(row) || element_count(net.tensor(row).shape) != columns)) return false;
  add_norm(builder, norm, columns, node.outputs[0]);
  return true;
}

}  // namespace

bool compile_layer_normalization(ProgramBuilder& builder, const Group& group) {
  return compile_norm_node(builder, group, true);
}

bool compile_rms_normalization(ProgramBuilder& builder, const Group& group) {
  return compile_norm_node(builder, group, false);
}

bool compile_norm_pattern(ProgramBuilder& builder, const Group& group) {
  const auto norm = match_norm(builder.network(), group.nodes.back());
  if (!norm || !builder.is_float(norm->input) || builder.constant(norm->input)) return false;
  add_norm(builder, *norm, builder.network().tensor(norm->input).shape.back(), group.output);
  return true;
}

}  // namespace bitplan
