#include "model/operators/declarations.hpp"
#include "model/operators/strided.hpp"

// Gemm: Y = alpha A' B' + beta C,  A' [M, K] and B' [K, N] transposed on request, C broadcast to [M, N]
namespace bitplan {
namespace {

struct GemmPlan {
  std::int64_t m, k, n, a_row, a_column, b_row, b_column;
};

GemmPlan plan_gemm(const Node& node, FactsIn inputs) {
  const Shape &a = inputs[0]->shape, &b = inputs[1]->shape;
  require_type(node, *inputs[0], {DType::f32});
  require_same_type(node, inputs);
  require_rank(node, *inputs[0], 2, 2);
  require_rank(node, *inputs[1], 2, 2);
  const bool ta = node.integer("transA", 0) != 0, tb = node.integer("transB", 0) != 0;
  const GemmPlan p{a[ta ? 1 : 0], a[ta ? 0 : 1], b[tb ? 0 : 1], ta ? 1 : a[1],
                   ta ? a[1] : 1, tb ? 1 : b[1], tb ? b[1] : 1};
  if (p.k != b[tb ? 1 : 0])
    fail_node(node, "shapes " + to_string(a) + " and " + to_string(b) + " cannot be multiplied");
  return p;
}

}  // namespace

Facts infer_gemm(const Node& node, FactsIn inputs) {
  const GemmPlan p = plan_gemm(node, inputs);
  const Shape shape{p.m, p.n};
  if (const auto* c = optional_input(inputs, 2); c && broadcast(node, c->shape, shape) != shape)
    fail_node(node, "C of shape " + to_string(c->shape) + " does not broadcast to " + to_string(shape));
  return one_output(node, DType::f32, shape);
}

std::vector<Tensor> evaluate_gemm(const Node& node, TensorsIn inputs) {
  const KnownInputs known(inputs);
  Tensor y(DType::f32, infer_gemm(node, known)[0].shape);
  const GemmPlan p = plan_gemm(node, known);
  const float *a = inputs[0]->values<float>().data(), *b = inputs[1]->values<float>().data();
  const Tensor* c = optional_input(inputs, 2);
  const auto alpha = static_cast<double>(node.number("alpha", 1)), beta = static_cast<double>(node.number("beta", 1));
  const Strides cs = c ? broadcast_strides(c->shape(), y.shape()) : Strides{0, 0};
  const auto out = y.writable<float>();
  std::vector<double> sums(static_cast<std::size_t>(p.n));
  for (std::int64_t i = 0; i < p.m; ++i) {
    sums.assign(sums.size(), 0.0);
    for (std::int64_t k = 0; k < p.k; ++k) {
      const auto x = static_cast<double>(a[i * p.a_row + k * p.a_column]);
      for (std::int64_t j = 0; j < p.n; ++j)
        sums[static_cast<std::size_t>(j)] += x * static_cast<double>(b[k * p.b_row + j * p.b_column]);
    }
    for (std::int64_t j = 0; j < p.n; ++j) {
      double value = alpha * sums[static_cast<std::size_t>(j)];
      if (c) value += beta * static_cast<double>(c->values<float>()[static_cast<std::size_t>(i * cs[0] + j * cs[1])]);
      out[static_cast<std::size_t>(i * p.n + j)] = static_cast<float>(value);
    }
  }
  return {y};
}

}  // namespace bitplan
