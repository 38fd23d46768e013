#include "model/operators/declarations.hpp"

namespace bitplan {

Facts infer_concat(const Node& node, FactsIn inputs) {
  if (!node.has("axis")) fail_node(node, "attribute 'axis' is missing");
  for (const auto* input : inputs)
    if (input == nullptr) fail_node(node, "no input may be left out");
  require_same_type(node, inputs);
  Shape shape = inputs[0]->shape;
  const std::size_t axis = axis_of(node, node.integer("axis", 0), shape.size());
  for (const auto* input : inputs.subspan(1)) {
    Shape other = input->shape;
    if (other.size() == shape.size()) other[axis] = shape[axis];
    if (other != shape)
      fail_node(node, "shapes " + to_string(shape) + " and " + to_string(input->shape) + " differ outside axis " +
                          std::to_string(axis));
    shape[axis] += input->shape[axis];  // both below 2^48
  }
  return one_output(node, inputs[0]->dtype, std::move(shape));
}

std::vector<Tensor> evaluate_concat(const Node& node, TensorsIn inputs) {
  const KnownInputs known(inputs);
  Tensor out(inputs[0]->dtype(), infer_concat(node, known)[0].shape);
  const std::size_t axis = axis_of(node, node.integer("axis", 0), out.shape().size());
  const auto lead = static_cast<std::size_t>(
      element_count(Shape(out.shape().begin(), out.shape().begin() + static_cast<std::ptrdiff_t>(axis))));
  std::byte* to = out.mutable_bytes();
  for (std::size_t row = 0; row < lead; ++row)
    for (const auto* input : inputs) {
      const std::size_t bytes = input->byte_size() / lead;
      if (bytes > 0) std::memcpy(to, input->bytes() + row * bytes, bytes);
      to += bytes;
    }
  return {out};
}

}  // namespace bitplan
