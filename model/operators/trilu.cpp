#include <algorithm>

#include "model/operators/declarations.hpp"

// Trilu: keeps the upper (column >= row + k) or lower (column <= row + k) triangle of the last two axes, zeroes the
// rest.
namespace bitplan {
namespace {

std::int64_t diagonal(const Node& node, FactsIn inputs) {
  if (!optional_input(inputs, 1)) return 0;
  const auto k = known_integers(node, inputs, 1, "k");
  if (k.size() != 1) fail_node(node, "its input 'k' is not a scalar");
  return std::clamp<std::int64_t>(k[0], -(std::int64_t{1} << 32), std::int64_t{1} << 32);
}

}  // namespace

Facts infer_trilu(const Node& node, FactsIn inputs) {
  require_rank(node, *inputs[0], 2, 64);
  diagonal(node, inputs);
  return one_output(node, inputs[0]->dtype, inputs[0]->shape);
}

std::vector<Tensor> evaluate_trilu(const Node& node, TensorsIn inputs) {
  const std::int64_t k = diagonal(node, KnownInputs(inputs));
  const bool upper = node.integer("upper", 1) != 0;
  Tensor y = *inputs[0];
  const Shape& shape = y.shape();
  const std::int64_t rows = shape[shape.size() - 2], columns = shape.back();
  const std::size_t bytes = size_of(y.dtype());
  std::byte* values = y.mutable_bytes();
  for (std::size_t i = 0; i < y.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    const std::int64_t column = at % columns, row = at / columns % rows;
    if (upper ? column < row + k : column > row + k) std::memset(values + i * bytes, 0, bytes);
  }
  return {y};
}

}  // namespace bitplan
