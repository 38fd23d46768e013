#include "model/operators/broadcasting.hpp"
#include "model/operators/declarations.hpp"
#include "model/operators/elementwise.hpp"

// Operations on the bits of integers: BitwiseAnd, BitwiseOr, BitwiseXor, BitwiseNot (any integers), BitShift (unsigned;
// a shift by the width or more gives 0).
namespace bitplan {
namespace {

void require_integers(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0],
               {DType::i8, DType::u8, DType::i16, DType::u16, DType::i32, DType::u32, DType::i64, DType::u64});
  require_same_type(node, inputs);
}

template <class Function>
std::vector<Tensor> map_bits(const Node& node, TensorsIn inputs, const Function& function) {
  return {visit_number(inputs[0]->dtype(), [&]<class T>(T) -> Tensor {
    if constexpr (std::is_integral_v<T>)
      return map_pairs<T, T>(node, *inputs[0], *inputs[1], [&](T a, T b) {
        using Bits = std::make_unsigned_t<T>;
        return static_cast<T>(function(static_cast<Bits>(a), static_cast<Bits>(b)));
      });
    else
      return {};  // infer refuses floats
  })};
}

}  // namespace

Facts infer_bitwise(const Node& node, FactsIn inputs) {
  require_integers(node, inputs);
  return one_output(node, inputs[0]->dtype, broadcast(node, inputs[0]->shape, inputs[1]->shape));
}

Facts infer_bitwise_not(const Node& node, FactsIn inputs) {
  require_integers(node, inputs);
  return one_output(node, inputs[0]->dtype, inputs[0]->shape);
}

Facts infer_bit_shift(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::u8, DType::u16, DType::u32, DType::u64});
  const std::string direction = node.text("direction", "");
  if (direction != "LEFT" && direction != "RIGHT")
    fail_node(node, "attribute 'direction' is '" + direction + "'; known: LEFT, RIGHT");
  return infer_bitwise(node, inputs);
}

std::vector<Tensor> evaluate_bitwise_and(const Node& node, TensorsIn inputs) {
  return map_bits(node, inputs, [](auto a, auto b) { return a & b; });
}
std::vector<Tensor> evaluate_bitwise_or(const Node& node, TensorsIn inputs) {
  return map_bits(node, inputs, [](auto a, auto b) { return a | b; });
}
std::vector<Tensor> evaluate_bitwise_xor(const Node& node, TensorsIn inputs) {
  return map_bits(node, inputs, [](auto a, auto b) { return a ^ b; });
}
std::vector<Tensor> evaluate_bitwise_not(const Node&, TensorsIn inputs) {
  return map_numbers(inputs, []<class T>(T x) { return static_cast<T>(T(-1) - x); });
}

std::vector<Tensor> evaluate_bit_shift(const Node& node, TensorsIn inputs) {
  const bool left = node.text("direction", "") == "LEFT";
  return map_bits(node, inputs, [left](auto a, auto b) -> std::uint64_t {
    if (b >= sizeof(a) * 8) return 0;
    return left ? std::uint64_t{a} << b : std::uint64_t{a} >> b;
  });
}

}  // namespace bitplan
