#include "model/operators/declarations.hpp"

// Constant and ConstantOfShape.
namespace bitplan {
namespace {

/// The one value attribute that a Constant node must have.
Tensor value_of(const Node& node) {
  if (node.attributes.size() != 1) fail_node(node, "exactly one value attribute is needed");
  const Attribute& value = node.attributes.begin()->second;
  if (const auto* tensor = std::get_if<Tensor>(&value)) return *tensor;
  if (const auto* number = std::get_if<float>(&value)) return Tensor::of<float>({}, std::vector{*number});
  if (const auto* integer = std::get_if<std::int64_t>(&value))
    return Tensor::of<std::int64_t>({}, std::vector{*integer});
  if (const auto* list = std::get_if<std::vector<float>>(&value))
    return Tensor::of<float>({static_cast<std::int64_t>(list->size())}, *list);
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(&value))
    return Tensor::of<std::int64_t>({static_cast<std::int64_t>(list->size())}, *list);
  fail_node(node, "string constants are not supported");
}

/// The value that ConstantOfShape repeats; float32 0 by default.
Tensor fill_value(const Node& node) {
  const auto found = node.attributes.find("value");
  if (found == node.attributes.end()) return Tensor(DType::f32, {1});
  const auto* tensor = std::get_if<Tensor>(&found->second);
  if (tensor == nullptr || tensor->size() != 1) fail_node(node, "attribute 'value' must be a tensor of one element");
  return *tensor;
}

Shape filled_shape(const Node& node, FactsIn inputs) {
  require_rank(node, *inputs[0], 1, 1);
  return known_integers(node, inputs, 0, "input");
}

}  // namespace

Facts infer_constant(const Node& node, FactsIn) {
  Tensor value = value_of(node);
  Facts facts = one_output(node, value.dtype(), value.shape());
  facts[0].constant = std::move(value);
  return facts;
}

std::vector<Tensor> evaluate_constant(const Node& node, TensorsIn) { return {value_of(node)}; }

Facts infer_constant_of_shape(const Node& node, FactsIn inputs) {
  return one_output(node, fill_value(node).dtype(), filled_shape(node, inputs));
}

std::vector<Tensor> evaluate_constant_of_shape(const Node& node, TensorsIn inputs) {
  const Tensor value = fill_value(node);
  Tensor out(value.dtype(), filled_shape(node, KnownInputs(inputs)));
  const std::size_t bytes = size_of(value.dtype());
  std::byte* to = out.mutable_bytes();
  for (std::size_t i = 0; i < out.size(); ++i) std::memcpy(to + i * bytes, value.bytes(), bytes);
  return {out};
}

}  // namespace bitplan
