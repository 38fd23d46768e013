#include "eval/executor/graph_patterns.hpp"
#include "eval/kernels/kernel_table.hpp"
#include "eval/kernels/matrix_stack.hpp"
#include "eval/kernels/row_kernels.hpp"

namespace bitplan {

namespace {

/// Rows of matrices [positions, width], each head of each sample a matrix.
class RotaryStep final : public Step {
 public:
  struct Plan {
    MatrixStack x, cos, sin;
    std::size_t rows, width;
  };
  RotaryStep(Plan plan, ValueId target) : p_(std::move(plan)), target_(target), isa_(best_isa()) {}

  void run(Frame& frame) const override {
    const auto* x = reinterpret_cast<const float*>(frame.read(p_.x.base));
    const auto* cos = reinterpret_cast<const float*>(frame.read(p_.cos.base));
    const auto* sin = reinterpret_cast<const float*>(frame.read(p_.sin.base));
    auto* y = reinterpret_cast<float*>(frame.write(target_));
    for (std::size_t i = 0; i < p_.x.offsets.size(); ++i)
      for (std::size_t r = 0; r < p_.rows; ++r, y += p_.width)
        rotary_row(isa_, row(p_.x, x, i, r), row(p_.cos, cos, i, r), row(p_.sin, sin, i, r), y, p_.width);
  }

 private:
  static const float* row(const MatrixStack& stack, const float* data, std::size_t i, std::size_t r) {
    return stack.at(data, i) + static_cast<std::int64_t>(r) * stack.leading;
  }

  Plan p_;
  ValueId target_;
  Isa isa_;
};

/// The operand broadcast to `shape` as matrices that lie row by row.
std::optional<MatrixStack> rows_of(ProgramBuilder& builder, TensorId tensor, const Shape& shape) {
  const StridedOperand wide = builder.strided(tensor).expanded(shape);
  auto stack = wide.strides.back() == 1 ? MatrixStack::of(wide, stack_dims(shape)) : std::nullopt;
  if (!stack || stack->transposed) return std::nullopt;
  return stack;
}

}  // namespace

bool compile_rotary_pattern(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const auto pattern = match_rotary(net, group.nodes.back());
  if (!pattern) return false;
  const Shape& shape = net.tensor(group.output).shape;
  for (const TensorId tensor : {pattern->input, pattern->cos, pattern->sin})
    if (!builder.is_float(tensor) || net.tensor(tensor).shape.empty()) return false;
  if (net.tensor(pattern->input).shape != shape || shape.size() < 2) return false;
  auto x = rows_of(builder, pattern->input, shape), cos = rows_of(builder, pattern->cos, shape),
       sin = rows_of(builder, pattern->sin, shape);
  if (!x || !cos || !sin) return false;
  const std::vector<Operand> reads{x->base, cos->base, sin->base};
  const ValueId target = builder.make(DType::f32, shape);
  builder.add(std::make_unique<RotaryStep>(RotaryStep::Plan{std::move(*x), std::move(*cos), std::move(*sin),
                                                            static_cast<std::size_t>(shape[shape.size() - 2]),
                                                            static_cast<std::size_t>(shape.back())},
                                           target),
              reads, {target});
  builder.define(group.output, target);
  return true;
}

}  // namespace bitplan
