#include "model/operators/declarations.hpp"
#include "model/operators/dispatch.hpp"
#include "model/operators/strided.hpp"

// MatMul as numpy.matmul: [.., M, K] x [.., K, N], leading axes broadcast, vectors promoted to matrices
namespace bitplan {
namespace {

struct MatMulPlan {
  Shape batch;  ///< broadcast leading axes
  Strides a_batch, b_batch;
  std::int64_t m, k, n;
  Shape shape;  ///< of the result, promoted axes removed
};

MatMulPlan plan_matmul(const Node& node, const Shape& a_shape, const Shape& b_shape) {
  if (a_shape.empty() || b_shape.empty()) fail_node(node, "a scalar cannot be multiplied as a matrix");
  Shape a = a_shape, b = b_shape;
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  MatMulPlan p;
  p.m = a[a.size() - 2], p.k = a.back(), p.n = b.back();
  if (b[b.size() - 2] != p.k)
    fail_node(node, "shapes " + to_string(a_shape) + " and " + to_string(b_shape) + " cannot be multiplied");
  const Shape a_lead(a.begin(), a.end() - 2), b_lead(b.begin(), b.end() - 2);
  p.batch = broadcast(node, a_lead, b_lead);
  p.a_batch = broadcast_strides(a_lead, p.batch);
  p.b_batch = broadcast_strides(b_lead, p.batch);
  p.shape = p.batch;
  if (a_shape.size() > 1) p.shape.push_back(p.m);
  if (b_shape.size() > 1) p.shape.push_back(p.n);
  return p;
}

/// Floats are summed in double, integers in their own type, wrapping.
template <class T>
void multiply(const T* a, const T* b, T* out, const MatMulPlan& p) {
  using Sum = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
  std::vector<Sum> sums(static_cast<std::size_t>(p.n));
  for (std::int64_t i = 0; i < p.m; ++i) {
    sums.assign(sums.size(), Sum{0});
    for (std::int64_t k = 0; k < p.k; ++k) {
      const auto x = static_cast<Sum>(a[i * p.k + k]);
      for (std::int64_t j = 0; j < p.n; ++j) sums[static_cast<std::size_t>(j)] += x * static_cast<Sum>(b[k * p.n + j]);
    }
    for (std::int64_t j = 0; j < p.n; ++j) out[i * p.n + j] = static_cast<T>(sums[static_cast<std::size_t>(j)]);
  }
}

}  // namespace

Facts infer_matmul(const Node& node, FactsIn inputs) {
  require_number(node, *inputs[0]);
  require_same_type(node, inputs);
  return one_output(node, inputs[0]->dtype, plan_matmul(node, inputs[0]->shape, inputs[1]->shape).shape);
}

std::vector<Tensor> evaluate_matmul(const Node& node, TensorsIn inputs) {
  const Tensor &a = *inputs[0], &b = *inputs[1];
  const MatMulPlan p = plan_matmul(node, a.shape(), b.shape());
  Tensor y(a.dtype(), p.shape);
  visit_number(a.dtype(), [&]<class T>(T) {
    T* out = y.writable<T>().data();
    walk_rows<2>(p.batch, {p.a_batch, p.b_batch}, [&](const auto& at, const auto& steps, std::int64_t count) {
      for (std::int64_t i = 0; i < count; ++i, out += p.m * p.n)
        multiply(a.values<T>().data() + (at[0] + i * steps[0]) * p.m * p.k,
                 b.values<T>().data() + (at[1] + i * steps[1]) * p.k * p.n, out, p);
    });
  });
  return {y};
}

}  // namespace bitplan
