#include "model/operators/declarations.hpp"
#include "model/operators/strided.hpp"

// Expand (broadcast to a shape) and Tile (repeat along each axis).
namespace bitplan {
namespace {

Shape expanded(const Node& node, FactsIn inputs) {
  const Shape wanted = known_integers(node, inputs, 1, "shape");
  for (const auto d : wanted)
    if (d < 0) fail_node(node, "shape " + to_string(wanted) + " has a negative dimension");
  return broadcast(node, inputs[0]->shape, wanted);
}

Shape tiled(const Node& node, FactsIn inputs) {
  const auto repeats = known_integers(node, inputs, 1, "repeats");
  Shape shape = inputs[0]->shape;
  if (repeats.size() != shape.size()) fail_node(node, "its input 'repeats' does not fit shape " + to_string(shape));
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (repeats[d] < 0 || repeats[d] > (std::int64_t{1} << 31) || shape[d] > (std::int64_t{1} << 31))
      fail_node(node, "its input 'repeats' has the entry " + std::to_string(repeats[d]) + "; allowed: 0 to 2^31");
    shape[d] *= repeats[d];
  }
  return shape;
}

}  // namespace

Facts infer_expand(const Node& node, FactsIn inputs) {
  return one_output(node, inputs[0]->dtype, expanded(node, inputs));
}

std::vector<Tensor> evaluate_expand(const Node& node, TensorsIn inputs) {
  const Shape shape = expanded(node, KnownInputs(inputs));
  return {strided_copy(*inputs[0], shape, broadcast_strides(inputs[0]->shape(), shape))};
}

Facts infer_tile(const Node& node, FactsIn inputs) { return one_output(node, inputs[0]->dtype, tiled(node, inputs)); }

std::vector<Tensor> evaluate_tile(const Node& node, TensorsIn inputs) {
  const Shape shape = tiled(node, KnownInputs(inputs)), &in = inputs[0]->shape();
  const Strides own = strides_of(in);
  Shape split;  // each axis as [repeats, size], the first of stride 0
  Strides strides;
  for (std::size_t d = 0; d < in.size(); ++d) {
    split.push_back(in[d] == 0 ? 0 : shape[d] / in[d]), split.push_back(in[d]);
    strides.push_back(0), strides.push_back(own[d]);
  }
  return {strided_copy(*inputs[0], split, strides).reshaped(shape)};
}

}  // namespace bitplan
