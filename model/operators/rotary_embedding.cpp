#include "model/operators/declarations.hpp"

// RotaryEmbedding (opset 23): pairs (a, b) of each head are turned by the angle of their position:
//   a' = cos a - sin b,  b' = sin a + cos b
// The pairs are the two halves of the first rotary_embedding_dim elements or, interleaved, neighbours; the rest passes.
// X is [batch, heads, length, size] or [batch, length, heads size]; the caches are [positions, dim / 2] with
// position_ids [batch, length], else [batch, length, dim / 2].
namespace bitplan {
namespace {

struct RotaryPlan {
  std::int64_t batch, heads, length, size, half;
  std::int64_t batch_step, head_step, row_step;  ///< elements between neighbours in X
};

RotaryPlan plan_rotary(const Node& node, FactsIn inputs) {
  require_rank(node, *inputs[0], 3, 4);
  const Shape& x = inputs[0]->shape;
  const bool split = x.size() == 4;
  const std::int64_t heads = split ? x[1] : node.integer("num_heads", 0);
  if (heads < 1 || (!split && x[2] % heads != 0))
    fail_node(node, "attribute 'num_heads' is " + std::to_string(heads) + "; it does not fit input " + to_string(x));
  RotaryPlan plan{x[0], heads, split ? x[2] : x[1], split ? x[3] : x[2] / heads, 0, 0, 0, 0};
  const std::int64_t dim = node.integer("rotary_embedding_dim", 0);
  if (dim < 0 || dim > plan.size) fail_node(node, "attribute 'rotary_embedding_dim' is " + std::to_string(dim));
  plan.half = (dim == 0 ? plan.size : dim) / 2;
  plan.batch_step = heads * plan.length * plan.size;
  plan.head_step = split ? plan.length * plan.size : plan.size;
  plan.row_step = split ? plan.size : heads * plan.size;
  Shape cache{plan.batch, plan.length, plan.half};
  if (const auto* positions = optional_input(inputs, 3)) {
    require_type(node, *positions, {DType::i64});
    if (positions->shape != Shape{plan.batch, plan.length})
      fail_node(node, "position_ids " + to_string(positions->shape) + " do not fit input " + to_string(x));
    require_rank(node, *inputs[1], 2, 2);
    cache = {inputs[1]->shape[0], plan.half};
  }
  for (std::size_t i : {1u, 2u})
    if (inputs[i]->shape != cache)
      fail_node(node, "a cache of shape " + to_string(inputs[i]->shape) + " was given; needed: " + to_string(cache));
  return plan;
}

}  // namespace

Facts infer_rotary_embedding(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::f32});
  require_same_type(node, inputs.first(3));
  plan_rotary(node, inputs);
  return one_output(node, DType::f32, inputs[0]->shape);
}

std::vector<Tensor> evaluate_rotary_embedding(const Node& node, TensorsIn inputs) {
  const RotaryPlan plan = plan_rotary(node, KnownInputs(inputs));
  Tensor y = *inputs[0];
  const auto positions = optional_input(inputs, 3) ? inputs[3]->integers() : std::vector<std::int64_t>{};
  const std::int64_t rows = inputs[1]->shape()[0];
  const bool interleaved = node.integer("interleaved", 0) != 0;
  const float *cos = inputs[1]->values<float>().data(), *sin = inputs[2]->values<float>().data();
  float* values = y.writable<float>().data();
  for (std::int64_t b = 0; b < plan.batch; ++b)
    for (std::int64_t t = 0; t < plan.length; ++t) {
      std::int64_t row = b * plan.length + t;
      if (!positions.empty()) row = positions[static_cast<std::size_t>(row)];
      if (!positions.empty() && (row < 0 || row >= rows))
        fail_node(node, "position " + std::to_string(row) + " is outside caches of " + std::to_string(rows));
      for (std::int64_t h = 0; h < plan.heads; ++h) {
        float* head = values + b * plan.batch_step + h * plan.head_step + t * plan.row_step;
        for (std::int64_t i = 0; i < plan.half; ++i) {
          float &a = head[interleaved ? 2 * i : i], &o = head[interleaved ? 2 * i + 1 : plan.half + i];
          const float c = cos[row * plan.half + i], s = sin[row * plan.half + i], real = c * a - s * o;
          o = s * a + c * o;
          a = real;
        }
      }
    }
  return {y};
}

}  // namespace bitplan
