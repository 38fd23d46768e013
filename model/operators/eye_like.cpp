#include "model/operators/declarations.hpp"

// EyeLike: a matrix of the input's shape with ones on the diagonal column = row + k, zeros elsewhere.
namespace bitplan {

Facts infer_eye_like(const Node& node, FactsIn inputs) {
  require_rank(node, *inputs[0], 2, 2);
  DType dtype = inputs[0]->dtype;
  if (node.has("dtype")) dtype = type_attribute(node, "dtype");
  return one_output(node, dtype, inputs[0]->shape);
}

std::vector<Tensor> evaluate_eye_like(const Node& node, TensorsIn inputs) {
  const KnownInputs known(inputs);
  const TensorFacts facts = infer_eye_like(node, known)[0];
  Tensor ones(DType::f32, facts.shape);
  const std::int64_t rows = facts.shape[0], columns = facts.shape[1], k = node.integer("k", 0);
  const auto to = ones.writable<float>();
  if (k > -rows && k < columns)
    for (std::int64_t row = 0; row < rows; ++row)
      if (row + k >= 0 && row + k < columns) to[static_cast<std::size_t>(row * columns + row + k)] = 1;
  return {ones.cast(facts.dtype)};
}

}  // namespace bitplan
