#include "model/operators/declarations.hpp"
#include "model/operators/dispatch.hpp"
#include "model/operators/lines.hpp"

// ArgMax and ArgMin: index of the first (or, with select_last_index, last) best element along an axis.
namespace bitplan {

Facts infer_arg_max(const Node& node, FactsIn inputs) {
  require_number(node, *inputs[0]);
  Shape shape = inputs[0]->shape;
  const std::size_t axis = axis_of(node, node.integer("axis", 0), shape.size());
  if (shape[axis] == 0) fail_node(node, "its input of shape " + to_string(shape) + " has no elements");
  shape[axis] = 1;
  if (node.integer("keepdims", 1) == 0) shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis));
  return one_output(node, DType::i64, std::move(shape));
}

namespace {

template <class Better>
std::vector<Tensor> find_best(const Node& node, TensorsIn inputs, const Better& better) {
  const KnownInputs known(inputs);
  const Tensor& x = *inputs[0];
  Tensor y(DType::i64, infer_arg_max(node, known)[0].shape);
  const Lines lines = Lines::of(x.shape(), axis_of(node, node.integer("axis", 0), x.shape().size()));
  const bool last = node.integer("select_last_index", 0) != 0;
  visit_number(x.dtype(), [&]<class T>(T) {
    const auto out = y.writable<std::int64_t>();
    for (std::int64_t n = 0; n < static_cast<std::int64_t>(out.size()); ++n) {
      const T* line = x.values<T>().data() + lines.begin(n);
      std::int64_t best = 0;
      for (std::int64_t k = 1; k < lines.length; ++k) {
        const T v = line[k * lines.inner], top = line[best * lines.inner];
        if (better(v, top) || (last && v == top)) best = k;
      }
      out[static_cast<std::size_t>(n)] = best;
    }
  });
  return {y};
}

}  // namespace

std::vector<Tensor> evaluate_arg_max(const Node& node, TensorsIn inputs) {
  return find_best(node, inputs, [](auto a, auto b) { return a > b; });
}
std::vector<Tensor> evaluate_arg_min(const Node& node, TensorsIn inputs) {
  return find_best(node, inputs, [](auto a, auto b) { return a < b; });
}

}  // namespace bitplan
