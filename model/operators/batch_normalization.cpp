#include <cmath>

#include "model/operators/declarations.hpp"

// BatchNormalization (inference): y = (x - mean[c]) scale[c] / sqrt(var[c] + epsilon) + bias[c], channel axis 1.
//
// In training mode (opset 14: training_mode; before: more than one output) mean and var are those of x itself, over all
// axes but 1. Exports hold that where a network standardises its weights on every call (Qiao et al. 2019,
// arXiv:1903.10520: NFNet, BiT); x is then known at import and the node folds away. On data it would make samples
// depend on each other and is refused. Further outputs: the running mean and variance, momentum of the old and
// 1 - momentum of the new ones; before opset 14 also x's own.
namespace bitplan {
namespace {

bool trains(const Node& node) {
  if (node.opset >= 14) return node.integer("training_mode", 0) != 0;
  return node.outputs.size() > 1;
}

struct Moments {
  std::vector<double> mean, variance;  ///< by channel
};

Moments given_moments(TensorsIn inputs) {
  const auto mean = inputs[3]->values<float>(), variance = inputs[4]->values<float>();
  return {{mean.begin(), mean.end()}, {variance.begin(), variance.end()}};
}

Moments own_moments(const Tensor& x) {
  const auto channels = static_cast<std::size_t>(x.shape()[1]);
  const auto inner = static_cast<std::size_t>(element_count(Shape(x.shape().begin() + 2, x.shape().end())));
  const auto values = x.values<float>();
  const double count = static_cast<double>(values.size()) / static_cast<double>(channels);
  Moments own{std::vector<double>(channels, 0), std::vector<double>(channels, 0)};
  for (std::size_t i = 0; i < values.size(); ++i) own.mean[i / inner % channels] += static_cast<double>(values[i]);
  for (auto& mean : own.mean) mean /= count;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double off = static_cast<double>(values[i]) - own.mean[i / inner % channels];
    own.variance[i / inner % channels] += off * off;
  }
  for (auto& variance : own.variance) variance /= count;
  return own;
}

Tensor vector_of(const std::vector<double>& values) {
  return Tensor::of<float>({static_cast<std::int64_t>(values.size())}, {values.begin(), values.end()});
}

std::vector<double> running(const std::vector<double>& before, const std::vector<double>& now, double momentum) {
  std::vector<double> mixed(now.size());
  for (std::size_t c = 0; c < now.size(); ++c) mixed[c] = before[c] * momentum + now[c] * (1 - momentum);
  return mixed;
}

}  // namespace

Facts infer_batch_normalization(const Node& node, FactsIn inputs) {
  const TensorFacts& x = *inputs[0];
  require_type(node, x, {DType::f32});
  require_same_type(node, inputs);
  require_rank(node, x, 2, 8);
  for (std::size_t i = 1; i < 5; ++i)
    if (inputs[i]->shape != Shape{x.shape[1]})
      fail_node(node,
                "a parameter of shape " + to_string(inputs[i]->shape) + " does not fit input " + to_string(x.shape));
  Facts facts = one_output(node, DType::f32, x.shape);
  if (trains(node) && !x.constant)
    fail_node(node, "is in training mode: it normalises by the statistics of the batch; export in eval mode");
  if (!trains(node) && node.outputs.size() > 1) fail_node(node, "only its first output is supported in eval mode");
  if (trains(node) && element_count(x.shape) == 0) fail_node(node, "has no elements to normalise by");
  if (node.outputs.size() > 3 && node.opset >= 14) fail_node(node, "has at most 3 outputs since opset 14");
  while (facts.size() < node.outputs.size()) facts.push_back(make_facts(node, DType::f32, {x.shape[1]}));
  return facts;
}

std::vector<Tensor> evaluate_batch_normalization(const Node& node, TensorsIn inputs) {
  const auto epsilon = static_cast<double>(node.number("epsilon", 1e-5f));
  const auto momentum = static_cast<double>(node.number("momentum", 0.9f));
  const Moments given = given_moments(inputs), used = trains(node) ? own_moments(*inputs[0]) : given;
  const auto scale = inputs[1]->values<float>(), bias = inputs[2]->values<float>();
  Tensor y = *inputs[0];
  const Shape& shape = y.shape();
  const auto channels = static_cast<std::size_t>(shape[1]);
  const std::int64_t inner = element_count(Shape(shape.begin() + 2, shape.end()));
  float* v = y.writable<float>().data();
  for (std::int64_t n = 0; n < shape[0]; ++n)
    for (std::size_t c = 0; c < channels; ++c) {
      const double factor = static_cast<double>(scale[c]) / std::sqrt(used.variance[c] + epsilon);
      const double offset = static_cast<double>(bias[c]) - used.mean[c] * factor;
      for (std::int64_t i = 0; i < inner; ++i, ++v) *v = static_cast<float>(static_cast<double>(*v) * factor + offset);
    }
  std::vector<Tensor> outputs{y};
  if (node.outputs.size() > 1) outputs.push_back(vector_of(running(given.mean, used.mean, momentum)));
  if (node.outputs.size() > 2) outputs.push_back(vector_of(running(given.variance, used.variance, momentum)));
  if (node.outputs.size() > 3) outputs.push_back(vector_of(used.mean));
  if (node.outputs.size() > 4) outputs.push_back(vector_of(used.variance));
  return outputs;
}

}  // namespace bitplan
