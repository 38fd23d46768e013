#include <numeric>

#include "model/operators/declarations.hpp"
#include "model/operators/strided.hpp"

// Transpose: axis d of the result is axis perm[d] of the input; the default turns all axes around.
namespace bitplan {
namespace {

std::vector<std::size_t> permutation(const Node& node, std::size_t rank) {
  Shape perm(rank);
  std::iota(perm.rbegin(), perm.rend(), 0);
  perm = node.integers("perm", perm);
  if (perm.size() != rank) fail_node(node, "attribute 'perm' does not fit a tensor of rank " + std::to_string(rank));
  std::vector<std::size_t> axes;
  for (const auto p : perm) {
    if (p < 0) fail_node(node, "attribute 'perm' has a negative entry");
    axes.push_back(axis_of(node, p, rank));
  }
  axes_of(node, perm, rank);  // refuses repeated axes
  return axes;
}

}  // namespace

Facts infer_transpose(const Node& node, FactsIn inputs) {
  Shape shape;
  for (const auto axis : permutation(node, inputs[0]->shape.size())) shape.push_back(inputs[0]->shape[axis]);
  return one_output(node, inputs[0]->dtype, std::move(shape));
}

std::vector<Tensor> evaluate_transpose(const Node& node, TensorsIn inputs) {
  const Strides own = strides_of(inputs[0]->shape());
  Shape shape;
  Strides strides;
  for (const auto axis : permutation(node, own.size())) {
    shape.push_back(inputs[0]->shape()[axis]);
    strides.push_back(own[axis]);
  }
  return {strided_copy(*inputs[0], shape, strides)};
}

}  // namespace bitplan
