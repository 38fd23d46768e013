#include <cmath>

#include "model/operators/declarations.hpp"

// BatchNormalization (inference): y = (x - mean[c]) scale[c] / sqrt(var[c] + epsilon) + bias[c], channel axis 1
namespace bitplan {

Facts infer_batch_normalization(const Node& node, FactsIn inputs) {
  const TensorFacts& x = *inputs[0];
  require_type(node, x, {DType::f32});
  require_same_type(node, inputs);
  require_rank(node, x, 2, 8);
  if (node.integer("training_mode", 0) != 0) fail_node(node, "training_mode is not supported; export in eval mode");
  for (std::size_t i = 1; i < node.outputs.size(); ++i)
    if (node.outputs[i] != kNoTensor) fail_node(node, "only its first output is supported; export in eval mode");
  for (std::size_t i = 1; i < 5; ++i)
    if (inputs[i]->shape != Shape{x.shape[1]})
      fail_node(node,
                "a parameter of shape " + to_string(inputs[i]->shape) + " does not fit input " + to_string(x.shape));
  return one_output(node, DType::f32, x.shape);
}

std::vector<Tensor> evaluate_batch_normalization(const Node& node, TensorsIn inputs) {
  const auto epsilon = static_cast<double>(node.number("epsilon", 1e-5f));
  Tensor y = *inputs[0];
  const Shape& shape = y.shape();
  const std::int64_t channels = shape[1];
  const std::int64_t inner = element_count(Shape(shape.begin() + 2, shape.end()));
  float* v = y.writable<float>().data();
  const auto parameter = [&](std::size_t i, std::int64_t c) {
    return static_cast<double>(inputs[i]->values<float>()[static_cast<std::size_t>(c)]);
  };
  for (std::int64_t n = 0; n < shape[0]; ++n)
    for (std::int64_t c = 0; c < channels; ++c) {
      const double factor = parameter(1, c) / std::sqrt(parameter(4, c) + epsilon);
      const double offset = parameter(2, c) - parameter(3, c) * factor;
      for (std::int64_t i = 0; i < inner; ++i, ++v) *v = static_cast<float>(static_cast<double>(*v) * factor + offset);
    }
  return {y};
}

}  // namespace bitplan
