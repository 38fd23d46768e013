#include <algorithm>
#include <string>

#include "eval/kernels/kernel_table.hpp"
#include "eval/kernels/matrix_stack.hpp"

namespace bitplan {

namespace {

/// An equation of two operands as a product of matrices: letters of both operands and the result count the stack, one
/// letter each counts rows, columns and what is summed ("bhid,bhjd->bhij").
struct ProductEquation {
  std::string left, right, result;  ///< as in the equation
  std::string stack;
  char row = 0, column = 0, summed = 0;

  std::string matrix(char a, char b) const { return stack + a + b; }
};

std::optional<ProductEquation> parse(std::string text) {
  std::erase(text, ' ');
  const auto comma = text.find(','), arrow = text.find("->");
  if (comma == std::string::npos || arrow == std::string::npos || comma > arrow) return std::nullopt;
  ProductEquation e{text.substr(0, comma), text.substr(comma + 1, arrow - comma - 1), text.substr(arrow + 2), {}};
  const auto has = [](const std::string& letters, char c) { return letters.find(c) != std::string::npos; };
  const auto once = [&](char& place, char c) { return place == 0 ? (place = c, true) : false; };
  for (const std::string& letters : {e.left, e.right, e.result})
    for (const char c : letters)
      if (std::ranges::count(letters, c) != 1 || c == '.' || c == ',') return std::nullopt;
  for (const char c : e.left) {
    const bool right = has(e.right, c), result = has(e.result, c);
    if (right && result)
      e.stack += c;
    else if (!(right ? once(e.summed, c) : result && once(e.row, c)))
      return std::nullopt;
  }
  for (const char c : e.right)
    if (!has(e.left, c) && !(has(e.result, c) && once(e.column, c))) return std::nullopt;
  if (e.row == 0 || e.column == 0 || e.summed == 0 || e.result.size() != e.stack.size() + 2) return std::nullopt;
  return e;
}

/// For each letter of `wanted` its place in `given`.
std::vector<std::int64_t> order_of(const std::string& wanted, const std::string& given) {
  std::vector<std::int64_t> order;
  for (const char c : wanted) order.push_back(static_cast<std::int64_t>(given.find(c)));
  return order;
}

}  // namespace

/// Products of two computed tensors, as attention is sometimes written.
bool compile_einsum(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const auto e = parse(node.text("equation", ""));
  const TensorId out = node.outputs[0];
  if (!e || builder.layer_of(group.nodes[0]) || node.inputs.size() != 2 || !builder.is_float(out) ||
      !builder.is_float(node.inputs[0]) || !builder.is_float(node.inputs[1]))
    return false;
  const StridedOperand a =
      builder.strided(node.inputs[0], group.nodes[0]).permuted(order_of(e->matrix(e->row, e->summed), e->left));
  const StridedOperand b =
      builder.strided(node.inputs[1], group.nodes[0]).permuted(order_of(e->matrix(e->summed, e->column), e->right));
  const std::string made = e->matrix(e->row, e->column);
  Shape shape;
  for (const std::int64_t d : order_of(made, e->result))
    shape.push_back(net.tensor(out).shape[static_cast<std::size_t>(d)]);
  const Dims stack = stack_dims(shape);
  if (!std::equal(stack.begin(), stack.end(), a.dims.begin()) ||
      !std::equal(stack.begin(), stack.end(), b.dims.begin()))
    return false;  // dimensions of one element that are broadcast
  auto left = MatrixStack::of(a, stack), right = MatrixStack::of(b, stack);
  if (!left || !right || a.dims.back() != b.dims[b.dims.size() - 2]) return false;
  const ValueId y = add_stack_product(builder, std::move(*left), std::move(*right),
                                      {shape[shape.size() - 2], shape.back(), a.dims.back()}, shape);
  builder.define_strided(out, whole_operand({.value = y}, shape).permuted(order_of(e->result, made)));
  return true;
}

}  // namespace bitplan
