#include "model/operators/declarations.hpp"
#include "model/operators/dispatch.hpp"

// CumSum along the axis of input 1: inclusive or exclusive, forwards or reverse. Integers wrap.
namespace bitplan {
namespace {

std::size_t sum_axis(const Node& node, FactsIn inputs) {
  const auto axes = known_integers(node, inputs, 1, "axis");
  if (axes.size() != 1) fail_node(node, "its input 'axis' is not a scalar");
  return axis_of(node, axes[0], inputs[0]->shape.size());
}

}  // namespace

Facts infer_cum_sum(const Node& node, FactsIn inputs) {
  require_number(node, *inputs[0]);
  sum_axis(node, inputs);
  return one_output(node, inputs[0]->dtype, inputs[0]->shape);
}

std::vector<Tensor> evaluate_cum_sum(const Node& node, TensorsIn inputs) {
  const std::size_t axis = sum_axis(node, KnownInputs(inputs));
  const bool exclusive = node.integer("exclusive", 0) != 0, reverse = node.integer("reverse", 0) != 0;
  Tensor y = *inputs[0];
  if (y.size() == 0) return {y};
  const Shape& shape = y.shape();
  const std::int64_t length = shape[axis];
  const std::int64_t inner = element_count(Shape(shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1, shape.end()));
  const std::int64_t lines = static_cast<std::int64_t>(y.size()) / length;
  visit_number(y.dtype(), [&]<class T>(T) {
    using Sum = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
    T* values = y.writable<T>().data();
    for (std::int64_t line = 0; line < lines; ++line) {
      T* first = values + line / inner * length * inner + line % inner;
      Sum sum = 0;
      for (std::int64_t i = 0; i < length; ++i) {
        T& v = first[(reverse ? length - 1 - i : i) * inner];
        const Sum before = sum;
        sum += static_cast<Sum>(v);
        v = static_cast<T>(exclusive ? before : sum);
      }
    }
  });
  return {y};
}

}  // namespace bitplan
