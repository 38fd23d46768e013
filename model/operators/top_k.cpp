#include <algorithm>
#include <numeric>

#include "model/operators/declarations.hpp"
#include "model/operators/dispatch.hpp"
#include "model/operators/lines.hpp"

// TopK: the k largest (or smallest) elements along an axis and their indices, best first; among equals the lower index.
// sorted = 0 allows any order and gets this one.
namespace bitplan {
namespace {

Shape top_shape(const Node& node, FactsIn inputs) {
  const auto k = known_integers(node, inputs, 1, "K");
  if (k.size() != 1) fail_node(node, "its input 'K' is not a scalar");
  Shape shape = inputs[0]->shape;
  std::int64_t& size = shape[axis_of(node, node.integer("axis", -1), shape.size())];
  if (k[0] < 0 || k[0] > size)
    fail_node(node, "K is " + std::to_string(k[0]) + "; the axis has " + std::to_string(size) + " elements");
  size = k[0];
  return shape;
}

}  // namespace

Facts infer_top_k(const Node& node, FactsIn inputs) {
  require_number(node, *inputs[0]);
  Facts facts = one_output(node, inputs[0]->dtype, top_shape(node, inputs));
  facts.push_back(make_facts(node, DType::i64, facts[0].shape));
  facts.resize(std::min(facts.size(), node.outputs.size()));
  return facts;
}

std::vector<Tensor> evaluate_top_k(const Node& node, TensorsIn inputs) {
  const Tensor& x = *inputs[0];
  const Shape shape = top_shape(node, KnownInputs(inputs));
  const std::size_t axis = axis_of(node, node.integer("axis", -1), shape.size());
  const Lines from = Lines::of(x.shape(), axis), to = Lines::of(shape, axis);
  const bool largest = node.integer("largest", 1) != 0;
  Tensor values(x.dtype(), shape), indices(DType::i64, shape);
  visit_number(x.dtype(), [&]<class T>(T) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(from.length));
    T* value = values.writable<T>().data();
    std::int64_t* index = indices.writable<std::int64_t>().data();
    for (std::int64_t n = 0; to.length > 0 && n < from.count(); ++n) {
      const T* line = x.values<T>().data() + from.begin(n);
      std::iota(order.begin(), order.end(), std::int64_t{0});
      const auto before = [&](std::int64_t a, std::int64_t b) {  // NaN counts as the largest, as in NumPy
        const T u = line[a * from.inner], v = line[b * from.inner];
        const bool u_nan = u != u, v_nan = v != v;
        if (u_nan != v_nan) return u_nan == largest;
        if (!u_nan && u != v) return largest ? u > v : u < v;
        return a < b;
      };
      std::partial_sort(order.begin(), order.begin() + to.length, order.end(), before);
      for (std::int64_t k = 0; k < to.length; ++k) {
        const std::int64_t best = order[static_cast<std::size_t>(k)], at = to.begin(n) + k * to.inner;
        value[at] = line[best * from.inner];
        index[at] = best;
      }
    }
  });
  std::vector<Tensor> outputs{values, indices};
  outputs.resize(std::min(outputs.size(), node.outputs.size()));
  return outputs;
}

}  // namespace bitplan
