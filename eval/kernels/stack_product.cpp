#include "eval/kernels/kernel_table.hpp"
#include "eval/kernels/matrix_stack.hpp"

namespace bitplan {

namespace {

/// Y[i] = A[i] B[i], one matrix after the other.
class StackProductStep final : public Step {
 public:
  StackProductStep(MatrixStack a, MatrixStack b, ValueId target, Multiplication size)
      : a_(std::move(a)), b_(std::move(b)), target_(target), size_(size) {}

  void run(Frame& frame) const override {
    const auto* a = reinterpret_cast<const float*>(frame.read(a_.base));
    const auto* b = reinterpret_cast<const float*>(frame.read(b_.base));
    auto* y = reinterpret_cast<float*>(frame.write(target_));
    for (std::size_t i = 0; i < a_.offsets.size(); ++i, y += size_.m * size_.n)
      multiply(size_, a_, a_.at(a, i), b_, b_.at(b, i), y, size_.n);
  }

 private:
  MatrixStack a_, b_;
  ValueId target_;
  Multiplication size_;
};

}  // namespace

ValueId add_stack_product(ProgramBuilder& builder, MatrixStack a, MatrixStack b, const Multiplication& size,
                          const Shape& shape) {
  const std::vector<Operand> reads{a.base, b.base};
  const ValueId y = builder.make(DType::f32, shape);
  builder.add(std::make_unique<StackProductStep>(std::move(a), std::move(b), y, size), reads, {y});
  return y;
}

bool compile_stack_product(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const Shape &a = net.tensor(node.inputs[0]).shape, &b = net.tensor(node.inputs[1]).shape,
              &y = net.tensor(node.outputs[0]).shape;
  if (group.nodes.size() != 1 || a.size() < 2 || b.size() < 2 || !builder.is_float(node.outputs[0]) ||
      !builder.is_float(node.inputs[0]))
    return false;
  const Dims stack = stack_dims(y);
  MatrixStack left = stack_of(builder, node.inputs[0], group.nodes[0], stack);
  MatrixStack right = stack_of(builder, node.inputs[1], group.nodes[0], stack);
  const Multiplication size{y[y.size() - 2], y.back(), a.back()};
  builder.define(node.outputs[0], add_stack_product(builder, std::move(left), std::move(right), size, y));
  return true;
}

}  // namespace bitplan
