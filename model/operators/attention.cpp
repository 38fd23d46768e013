#include <cmath>
#include <limits>

#include "model/operators/declarations.hpp"
#include "model/operators/strided.hpp"

// Attention (opset 23), for each head:  Y = softmax(scale Q K' + mask) V
// Q, K, V are [batch, heads, length, size] or [batch, length, heads size]; groups of query heads share a key head; the
// mask is bool (false: not seen) or added; is_causal hides the keys behind the query's own position. scale defaults to
// 1 / sqrt(size). Caches of past keys, softcap and the outputs behind the first are refused.
namespace bitplan {
namespace {

/// One of Q, K, V: heads, length, size, and the elements between neighbours.
struct Heads {
  std::int64_t heads, length, size, batch_step, head_step, row_step;
};

Heads heads_of(const Node& node, const Shape& shape, const char* attribute) {
  const bool split = shape.size() == 4;
  const std::int64_t heads = split ? shape[1] : node.integer(attribute, 0);
  if (heads < 1 || (!split && shape[2] % heads != 0))
    fail_node(node, "attribute '" + std::string(attribute) + "' is " + std::to_string(heads) +
                        "; it does not fit an input of shape " + to_string(shape));
  const std::int64_t length = split ? shape[2] : shape[1], size = split ? shape[3] : shape[2] / heads;
  return {heads, length, size, heads * length * size, split ? length * size : size, split ? size : heads * size};
}

struct AttentionPlan {
  Heads q, k, v;
  Shape shape, scores;  ///< of the result; [batch, heads, queries, keys]
};

AttentionPlan plan_attention(const Node& node, FactsIn inputs) {
  for (std::size_t i = 0; i < 3; ++i)
    require_rank(node, *inputs[i], inputs[0]->shape.size() == 3 ? 3 : 4, inputs[0]->shape.size() == 3 ? 3 : 4);
  const Shape& q = inputs[0]->shape;
  AttentionPlan plan{heads_of(node, q, "q_num_heads"),
                     heads_of(node, inputs[1]->shape, "kv_num_heads"),
                     heads_of(node, inputs[2]->shape, "kv_num_heads"),
                     q,
                     {}};
  const bool fits = inputs[1]->shape[0] == q[0] && inputs[2]->shape[0] == q[0] && plan.k.size == plan.q.size &&
                    plan.k.heads == plan.v.heads && plan.k.length == plan.v.length && plan.q.heads % plan.k.heads == 0;
  if (!fits)
    fail_node(node, "queries " + to_string(q) + ", keys " + to_string(inputs[1]->shape) + " and values " +
                        to_string(inputs[2]->shape) + " do not fit");
  plan.shape.back() = q.size() == 4 ? plan.v.size : plan.q.heads * plan.v.size;
  plan.scores = {q[0], plan.q.heads, plan.q.length, plan.k.length};
  if (const auto* mask = optional_input(inputs, 3)) {
    if (mask->dtype != DType::boolean) require_type(node, *mask, {DType::f32});
    if (broadcast(node, mask->shape, plan.scores) != plan.scores)
      fail_node(node, "mask " + to_string(mask->shape) + " does not fit scores " + to_string(plan.scores));
  }
  return plan;
}

/// What is added to the scores: 0 and -infinity for a bool mask.
Tensor bias_of(const AttentionPlan& plan, const Tensor* mask, bool causal) {
  Tensor bias(DType::f32, plan.scores);
  if (mask) {
    Tensor given = mask->cast(DType::f32);
    if (mask->dtype() == DType::boolean)
      for (float& v : given.writable<float>()) v = v != 0 ? 0 : -std::numeric_limits<float>::infinity();
    bias = strided_copy(given, plan.scores, broadcast_strides(given.shape(), plan.scores));
  }
  const auto values = bias.writable<float>();
  const auto keys = static_cast<std::size_t>(plan.k.length), queries = static_cast<std::size_t>(plan.q.length);
  for (std::size_t i = 0; causal && i < values.size(); ++i)
    if (i % keys > i / keys % queries) values[i] = -std::numeric_limits<float>::infinity();
  return bias;
}

/// In place; a row that sees nothing becomes zeros.
void softmax(std::vector<double>& row) {
  double top = -std::numeric_limits<double>::infinity(), sum = 0;
  for (const double v : row) top = std::max(top, v);
  for (double& v : row) sum += v = std::isinf(top) ? 0 : std::exp(v - top);
  for (double& v : row) v = sum > 0 ? v / sum : 0;
}

}  // namespace

Facts infer_attention(const Node& node, FactsIn inputs) {
  for (std::size_t i = 4; i < inputs.size(); ++i)
    if (inputs[i]) fail_node(node, "caches of past keys are not supported; export the model without a cache");
  for (std::size_t i = 1; i < node.outputs.size(); ++i)
    if (node.outputs[i] != kNoTensor) fail_node(node, "only its first output is supported");
  if (node.number("softcap", 0) != 0) fail_node(node, "attribute 'softcap' is not supported");
  require_type(node, *inputs[0], {DType::f32});
  require_same_type(node, inputs.first(3));
  return one_output(node, DType::f32, plan_attention(node, inputs).shape);
}

std::vector<Tensor> evaluate_attention(const Node& node, TensorsIn inputs) {
  const AttentionPlan plan = plan_attention(node, KnownInputs(inputs));
  const Tensor bias = bias_of(plan, optional_input(inputs, 3), node.integer("is_causal", 0) != 0);
  const auto scale = static_cast<double>(node.number(
      "scale", static_cast<float>(1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(1, plan.q.size))))));
  Tensor y(DType::f32, plan.shape);
  const Heads to = heads_of(node, plan.shape, "q_num_heads");
  const float* added = bias.values<float>().data();
  std::vector<double> row(static_cast<std::size_t>(plan.k.length));
  const float *q = inputs[0]->values<float>().data(), *k = inputs[1]->values<float>().data(),
              *v = inputs[2]->values<float>().data();
  float* out = y.writable<float>().data();
  const auto at = [](const Heads& heads, std::int64_t b, std::int64_t h, std::int64_t t) {
    return b * heads.batch_step + h * heads.head_step + t * heads.row_step;
  };
  for (std::int64_t b = 0; b < plan.scores[0]; ++b)
    for (std::int64_t h = 0; h < plan.q.heads; ++h) {
      const std::int64_t shared = h / (plan.q.heads / plan.k.heads);
      for (std::int64_t t = 0; t < plan.q.length; ++t) {
        const float* query = q + at(plan.q, b, h, t);
        for (std::int64_t j = 0; j < plan.k.length; ++j) {
          const float* key = k + at(plan.k, b, shared, j);
          double sum = 0;
          for (std::int64_t i = 0; i < plan.q.size; ++i)
            sum += static_cast<double>(query[i]) * static_cast<double>(key[i]);
          row[static_cast<std::size_t>(j)] = scale * sum + static_cast<double>(*added++);
        }
        softmax(row);
        for (std::int64_t i = 0; i < plan.v.size; ++i) {
          double sum = 0;
          for (std::int64_t j = 0; j < plan.k.length; ++j)
            sum += row[static_cast<std::size_t>(j)] * static_cast<double>(v[at(plan.v, b, shared, j) + i]);
          out[at(to, b, h, t) + i] = static_cast<float>(sum);
        }
      }
    }
  return {y};
}

}  // namespace bitplan
