#include <cmath>

#include "model/operators/declarations.hpp"
#include "model/operators/lines.hpp"

// Normalization over groups of neighbouring channels and all spatial positions of one sample:
//   y = (x - mean) / sqrt(variance + epsilon) scale + bias
// InstanceNormalization: each channel is a group. GroupNormalization: num_groups; scale and bias are per group before
// opset 21 and per channel from then on.
namespace bitplan {
namespace {

std::int64_t groups_of(const Node& node, const Shape& x) {
  if (node.op == "InstanceNormalization") return x[1];
  const std::int64_t groups = node.integer("num_groups", 0);
  if (groups < 1 || x[1] % groups != 0)
    fail_node(node, "attribute 'num_groups' is " + std::to_string(groups) + "; the input has " + std::to_string(x[1]) +
                        " channels");
  return groups;
}

}  // namespace

Facts infer_group_normalization(const Node& node, FactsIn inputs) {
  const TensorFacts& x = *inputs[0];
  require_type(node, x, {DType::f32});
  require_same_type(node, inputs);
  require_rank(node, x, 2, 8);
  const std::int64_t groups = groups_of(node, x.shape);
  const bool by_group = node.op == "GroupNormalization" && node.opset < 21;
  const Shape wanted{by_group ? groups : x.shape[1]};
  for (std::size_t i : {1u, 2u})
    if (inputs[i]->shape != wanted)
      fail_node(node, "a parameter of shape " + to_string(inputs[i]->shape) + " does not fit input " +
                          to_string(x.shape) + "; needed: " + to_string(wanted));
  return one_output(node, DType::f32, x.shape);
}

std::vector<Tensor> evaluate_group_normalization(const Node& node, TensorsIn inputs) {
  Tensor y = *inputs[0];
  if (y.size() == 0) return {y};
  const std::int64_t groups = groups_of(node, y.shape()), channels = y.shape()[1];
  const std::int64_t plane = Lines::of(y.shape(), 1).inner, size = channels / groups * plane;
  const auto epsilon = static_cast<double>(node.number("epsilon", 1e-5f));
  const auto parameter = [&](std::size_t i, std::int64_t channel) {
    const auto values = inputs[i]->values<float>();
    const auto count = static_cast<std::int64_t>(values.size());
    return static_cast<double>(values[static_cast<std::size_t>(channel * count / channels)]);
  };
  float* values = y.writable<float>().data();
  for (std::int64_t g = 0; g < y.shape()[0] * groups; ++g) {
    const std::span<float> group(values + g * size, static_cast<std::size_t>(size));
    double sum = 0, squares = 0;
    for (const float v : group) sum += static_cast<double>(v);
    const double mean = sum / static_cast<double>(size);
    for (const float v : group) squares += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean);
    const double factor = 1 / std::sqrt(squares / static_cast<double>(size) + epsilon);
    for (std::int64_t i = 0; i < size; ++i) {
      const std::int64_t channel = g % groups * (channels / groups) + i / plane;
      float& v = group[static_cast<std::size_t>(i)];
      v = static_cast<float>((static_cast<double>(v) - mean) * factor * parameter(1, channel) + parameter(2, channel));
    }
  }
  return {y};
}

}  // namespace bitplan
