#include <algorithm>

#include "model/operators/declarations.hpp"

// Shape (of the axes from start to end, opset 15) and Size. Their values are known as soon as shapes are.
namespace bitplan {
namespace {

Tensor shape_value(const Node& node, const Shape& in) {
  const auto rank = static_cast<std::int64_t>(in.size());
  const auto place = [rank](std::int64_t v) { return std::clamp<std::int64_t>(v < 0 ? v + rank : v, 0, rank); };
  const std::int64_t begin = place(node.integer("start", 0)), end = place(node.integer("end", rank));
  const Shape part = begin < end ? Shape(in.begin() + begin, in.begin() + end) : Shape{};
  return Tensor::of<std::int64_t>({static_cast<std::int64_t>(part.size())}, part);
}

Facts known(Tensor value) { return {TensorFacts{value.dtype(), value.shape(), value}}; }

Tensor size_value(const Shape& in) { return Tensor::of<std::int64_t>({}, std::vector{element_count(in)}); }

}  // namespace

Facts infer_shape(const Node& node, FactsIn inputs) { return known(shape_value(node, inputs[0]->shape)); }
Facts infer_size(const Node&, FactsIn inputs) { return known(size_value(inputs[0]->shape)); }

std::vector<Tensor> evaluate_shape(const Node& node, TensorsIn inputs) {
  return {shape_value(node, inputs[0]->shape())};
}
std::vector<Tensor> evaluate_size(const Node&, TensorsIn inputs) { return {size_value(inputs[0]->shape())}; }

}  // namespace bitplan
