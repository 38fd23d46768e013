#include <numeric>

#include "eval/kernels/kernel_table.hpp"
#include "eval/kernels/row_kernels.hpp"

namespace bitplan {

namespace {

/// Each group of neighbouring channels of a sample is normalized as one row, then scaled by channel.
class GroupNormStep final : public Step {
 public:
  struct Plan {
    Operand source, scale, bias;
    float epsilon;
    std::size_t rows, groups, channels, plane;  ///< rows = samples * groups; channels of a group
    bool by_group;                              ///< one scale a group, not a channel
  };
  GroupNormStep(const Plan& plan, ValueId target) : p_(plan), target_(target), isa_(best_isa()) {}

  bool reads_anywhere() const override { return true; }
  void run(Frame& frame) const override {
    const auto* x = reinterpret_cast<const float*>(frame.read(p_.source));
    const auto* scale = reinterpret_cast<const float*>(frame.read(p_.scale));
    const auto* bias = reinterpret_cast<const float*>(frame.read(p_.bias));
    auto* y = reinterpret_cast<float*>(frame.write(target_));
    const std::size_t size = p_.channels * p_.plane;
    for (std::size_t r = 0; r < p_.rows; ++r, x += size) {
      norm_row(isa_, {nullptr, nullptr, p_.epsilon, true}, x, y, size);
      const std::size_t group = r % p_.groups;
      for (std::size_t c = 0; c < p_.channels; ++c, y += p_.plane) {
        const std::size_t i = p_.by_group ? group : group * p_.channels + c;
        for (std::size_t k = 0; k < p_.plane; ++k) y[k] = y[k] * scale[i] + bias[i];
      }
    }
  }

 private:
  Plan p_;
  ValueId target_;
  Isa isa_;
};

}  // namespace

/// GroupNormalization, and InstanceNormalization where each channel is a group.
bool compile_group_normalization(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const TensorId in = node.inputs[0];
  const Shape& shape = net.tensor(in).shape;
  for (const TensorId tensor : node.inputs)
    if (!builder.is_float(tensor)) return false;
  if (builder.constant(in) || shape.size() < 2) return false;
  const std::int64_t groups = node.op == "InstanceNormalization" ? shape[1] : node.integer("num_groups", 1);
  const std::int64_t plane = std::accumulate(shape.begin() + 2, shape.end(), std::int64_t{1}, std::multiplies());
  const bool by_group = net.tensor(node.inputs[1]).shape != Shape{shape[1]};
  const GroupNormStep::Plan plan{builder.plain(in),
                                 builder.plain(node.inputs[1]),
                                 builder.plain(node.inputs[2]),
                                 node.number("epsilon", 1e-5F),
                                 static_cast<std::size_t>(shape[0] * groups),
                                 static_cast<std::size_t>(groups),
                                 static_cast<std::size_t>(shape[1] / groups),
                                 static_cast<std::size_t>(plane),
                                 by_group};
  const ValueId y = builder.make(DType::f32, shape);
  builder.add(std::make_unique<GroupNormStep>(plan, y), {plan.source, plan.scale, plan.bias}, {y});
  builder.define(node.outputs[0], y);
  return true;
}

}  // namespace bitplan
