#include <algorithm>

#include "model/operators/declarations.hpp"

// Operators that only change the view of a tensor: Reshape, Flatten, Squeeze, Unsqueeze.
namespace bitplan {
namespace {

/// 0 copies the input's dimension (unless allowzero), one -1 takes what is left.
Shape reshaped(const Node& node, FactsIn inputs) {
  const Shape& in = inputs[0]->shape;
  Shape shape = known_integers(node, inputs, 1, "shape");
  const std::string asked = to_string(shape);
  const bool allow_zero = node.integer("allowzero", 0) != 0;
  const auto misfit = [&]() {
    fail_node(node, "a tensor of shape " + to_string(in) + " cannot be reshaped to " + asked);
  };
  auto free = shape.end();
  for (auto d = shape.begin(); d != shape.end(); ++d) {
    if (*d == 0 && !allow_zero) {
      const auto i = static_cast<std::size_t>(d - shape.begin());
      if (i >= in.size()) misfit();
      *d = in[i];
    } else if (*d == -1) {
      if (free != shape.end()) fail_node(node, "shape " + asked + " has more than one -1");
      free = d;
    } else if (*d < 0) {
      misfit();
    }
  }
  if (free != shape.end()) *free = 1;
  make_facts(node, DType::u8, shape);  // refuses absurd sizes
  const std::int64_t have = element_count(in), fixed = element_count(shape);
  if (free != shape.end()) {
    if (fixed == 0 || have % fixed != 0) misfit();
    *free = have / fixed;
  } else if (fixed != have) {
    misfit();
  }
  return shape;
}

Shape flattened(const Node& node, const Shape& in) {
  const std::int64_t given = node.integer("axis", 1);
  const std::size_t axis = given == static_cast<std::int64_t>(in.size()) ? in.size() : axis_of(node, given, in.size());
  const auto split = in.begin() + static_cast<std::ptrdiff_t>(axis);
  return {element_count(Shape(in.begin(), split)), element_count(Shape(split, in.end()))};
}

Shape squeezed(const Node& node, FactsIn inputs) {
  const Shape& in = inputs[0]->shape;
  const bool listed = node.opset < 13 ? node.has("axes") : optional_input(inputs, 1) != nullptr;
  const auto axes = axes_of(node, attribute_or_input(node, inputs, "axes", 13, 1, {}), in.size());
  Shape shape;
  for (std::size_t d = 0; d < in.size(); ++d) {
    const bool named = std::binary_search(axes.begin(), axes.end(), d);
    if (named && in[d] != 1) fail_node(node, "axis " + std::to_string(d) + " of shape " + to_string(in) + " is not 1");
    if (!(listed ? named : in[d] == 1)) shape.push_back(in[d]);
  }
  return shape;
}

Shape unsqueezed(const Node& node, FactsIn inputs) {
  const Shape& in = inputs[0]->shape;
  const auto listed = attribute_or_input(node, inputs, "axes", 13, 1, {});
  if (in.size() + listed.size() > 64) fail_node(node, "the result would have more than 64 axes");
  const auto axes = axes_of(node, listed, in.size() + listed.size());
  Shape shape = in;
  for (const auto axis : axes) shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis), 1);
  return shape;
}

}  // namespace

Facts infer_reshape(const Node& node, FactsIn inputs) {
  return one_output(node, inputs[0]->dtype, reshaped(node, inputs));
}
Facts infer_flatten(const Node& node, FactsIn inputs) {
  return one_output(node, inputs[0]->dtype, flattened(node, inputs[0]->shape));
}
Facts infer_squeeze(const Node& node, FactsIn inputs) {
  return one_output(node, inputs[0]->dtype, squeezed(node, inputs));
}
Facts infer_unsqueeze(const Node& node, FactsIn inputs) {
  return one_output(node, inputs[0]->dtype, unsqueezed(node, inputs));
}

std::vector<Tensor> evaluate_reshape(const Node& node, TensorsIn inputs) {
  return {inputs[0]->reshaped(reshaped(node, KnownInputs(inputs)))};
}
std::vector<Tensor> evaluate_flatten(const Node& node, TensorsIn inputs) {
  return {inputs[0]->reshaped(flattened(node, inputs[0]->shape()))};
}
std::vector<Tensor> evaluate_squeeze(const Node& node, TensorsIn inputs) {
  return {inputs[0]->reshaped(squeezed(node, KnownInputs(inputs)))};
}
std::vector<Tensor> evaluate_unsqueeze(const Node& node, TensorsIn inputs) {
  return {inputs[0]->reshaped(unsqueezed(node, KnownInputs(inputs)))};
}

}  // namespace bitplan
