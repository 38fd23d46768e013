#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "model/operators/declarations.hpp"
#include "model/operators/dispatch.hpp"
#include "model/operators/strided.hpp"

// Reductions over axes. The axes are an attribute and become an input in opset 13 (ReduceSum) or 18 (the others).
namespace bitplan {
namespace {

int axes_input_since(const Node& node) { return node.op == "ReduceSum" ? 13 : 18; }

struct ReducePlan {
  std::vector<bool> reduced;  ///< by axis
  Shape kept;                 ///< input shape with 1 at the reduced axes
  Shape shape;                ///< of the result
  bool nothing = false;       ///< no axes and noop_with_empty_axes
};

ReducePlan plan_reduce(const Node& node, FactsIn inputs) {
  const Shape& in = inputs[0]->shape;
  const auto listed = attribute_or_input(node, inputs, "axes", axes_input_since(node), 1, {});
  auto axes = axes_of(node, listed, in.size());
  ReducePlan plan;
  plan.nothing = axes.empty() && node.integer("noop_with_empty_axes", 0) != 0;
  if (axes.empty() && !plan.nothing) {
    axes.resize(in.size());
    std::iota(axes.begin(), axes.end(), std::size_t{0});
  }
  plan.reduced.assign(in.size(), false);
  plan.kept = in;
  for (const auto axis : axes) plan.reduced[axis] = true, plan.kept[axis] = 1;
  const bool keep = node.integer("keepdims", 1) != 0;
  for (std::size_t d = 0; d < in.size(); ++d)
    if (keep || !plan.reduced[d]) plan.shape.push_back(plan.kept[d]);
  return plan;
}

/// 0, 1 or an infinity as a start; integers have no infinity, but a lowest and a highest value.
template <class Sum>
Sum first_value(double start) {
  if (std::is_integral_v<Sum> && std::isinf(start))
    return start < 0 ? std::numeric_limits<Sum>::min() : std::numeric_limits<Sum>::max();
  return static_cast<Sum>(start);
}

/// Folds all elements of `x` that fall on one element of the result: sum = step(sum, x), then finish(sum, count).
/// Floats are folded in double, integers in their own width, wrapping.
template <class Step, class Finish>
std::vector<Tensor> reduce(const Node& node, TensorsIn inputs, double start, const Step& step, const Finish& finish) {
  const Tensor& x = *inputs[0];
  const ReducePlan plan = plan_reduce(node, KnownInputs(inputs));
  Tensor y(x.dtype(), plan.shape);
  visit_number(x.dtype(), [&]<class T>(T) {
    using Whole = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
    using Sum = std::conditional_t<std::is_floating_point_v<T>, double, Whole>;
    std::vector<Sum> sums(y.size(), first_value<Sum>(start));
    const T* from = x.values<T>().data();
    walk_rows<2>(x.shape(), {strides_of(x.shape()), broadcast_strides(plan.kept, x.shape())},
                 [&](const auto& at, const auto& steps, std::int64_t count) {
                   for (std::int64_t i = 0; i < count; ++i) {
                     Sum& sum = sums[static_cast<std::size_t>(at[1] + i * steps[1])];
                     sum = step(sum, static_cast<Sum>(from[at[0] + i * steps[0]]));
                   }
                 });
    const auto out = y.writable<T>();
    const std::size_t count = y.size() == 0 ? 1 : x.size() / y.size();
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<T>(finish(sums[i], static_cast<Sum>(count)));
  });
  return {y};
}

const auto kAsIs = [](auto sum, auto) { return sum; };

template <class T, class Wrapping>
T wrap(T a, T b, const Wrapping& operation) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(operation(static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b)));
  else
    return operation(a, b);
}

const auto kAdd = [](auto a, auto b) { return wrap(a, b, [](auto x, auto y) { return x + y; }); };
const auto kMultiply = [](auto a, auto b) { return wrap(a, b, [](auto x, auto y) { return x * y; }); };

/// ReduceMax and ReduceMin take bool too, since opset 20.
bool folds_bool(const Node& node, DType dtype) {
  return dtype == DType::boolean && node.opset >= 20 && (node.op == "ReduceMax" || node.op == "ReduceMin");
}

template <class Step>
std::vector<Tensor> fold_best(const Node& node, TensorsIn inputs, double start, const Step& step) {
  if (inputs[0]->dtype() != DType::boolean) return reduce(node, inputs, start, step, kAsIs);
  const Tensor numbers = inputs[0]->cast(DType::u8);
  std::vector<const Tensor*> cast(inputs.begin(), inputs.end());
  cast[0] = &numbers;
  return {reduce(node, cast, start, step, kAsIs)[0].cast(DType::boolean)};
}

}  // namespace

Facts infer_reduce(const Node& node, FactsIn inputs) {
  if (!folds_bool(node, inputs[0]->dtype)) require_number(node, *inputs[0]);
  const ReducePlan plan = plan_reduce(node, inputs);
  if (element_count(inputs[0]->shape) == 0 && node.op == "ReduceMean")
    fail_node(node, "its input of shape " + to_string(inputs[0]->shape) + " has no elements");
  return one_output(node, inputs[0]->dtype, plan.shape);
}

std::vector<Tensor> evaluate_reduce_sum(const Node& node, TensorsIn inputs) {
  return reduce(node, inputs, 0, kAdd, kAsIs);
}

std::vector<Tensor> evaluate_reduce_mean(const Node& node, TensorsIn inputs) {
  return reduce(node, inputs, 0, kAdd, [](auto sum, auto count) { return sum / count; });
}

std::vector<Tensor> evaluate_reduce_prod(const Node& node, TensorsIn inputs) {
  return reduce(node, inputs, 1, kMultiply, kAsIs);
}

std::vector<Tensor> evaluate_reduce_max(const Node& node, TensorsIn inputs) {
  return fold_best(node, inputs, -std::numeric_limits<double>::infinity(),
                   [](auto best, auto v) { return best != best || best > v ? best : v; });
}

std::vector<Tensor> evaluate_reduce_min(const Node& node, TensorsIn inputs) {
  return fold_best(node, inputs, std::numeric_limits<double>::infinity(),
                   [](auto best, auto v) { return best != best || best < v ? best : v; });
}

std::vector<Tensor> evaluate_reduce_l2(const Node& node, TensorsIn inputs) {
  return reduce(
      node, inputs, 0, [](auto sum, auto v) { return kAdd(sum, kMultiply(v, v)); },
      [](auto sum, auto) { return static_cast<decltype(sum)>(std::sqrt(static_cast<double>(sum))); });
}

std::vector<Tensor> evaluate_reduce_l1(const Node& node, TensorsIn inputs) {
  return reduce(
      node, inputs, 0,
      [](auto sum, auto v) { return kAdd(sum, v < decltype(v)(0) ? kMultiply(v, static_cast<decltype(v)>(-1)) : v); },
      kAsIs);
}

std::vector<Tensor> evaluate_reduce_sum_square(const Node& node, TensorsIn inputs) {
  return reduce(
      node, inputs, 0, [](auto sum, auto v) { return kAdd(sum, kMultiply(v, v)); }, kAsIs);
}

std::vector<Tensor> evaluate_reduce_log_sum(const Node& node, TensorsIn inputs) {
  return reduce(node, inputs, 0, kAdd,
                [](auto sum, auto) { return static_cast<decltype(sum)>(std::log(static_cast<double>(sum))); });
}

/// The logarithm of the sum so far is carried along, so that nothing overflows: log(e^a + e^b) = max + log1p(e^-|a -
/// b|).
std::vector<Tensor> evaluate_reduce_log_sum_exp(const Node& node, TensorsIn inputs) {
  const DType dtype = inputs[0]->dtype();
  const Tensor wide = inputs[0]->cast(DType::f64);
  std::vector<const Tensor*> cast(inputs.begin(), inputs.end());
  cast[0] = &wide;
  const auto add = [](double a, double b) {
    return a == b ? a + std::log(2.0) : std::max(a, b) + std::log1p(std::exp(-std::abs(a - b)));
  };
  const auto sums = reduce(
      node, cast, -std::numeric_limits<double>::infinity(),
      [&](auto sum, auto v) {
        return static_cast<decltype(sum)>(add(static_cast<double>(sum), static_cast<double>(v)));
      },
      kAsIs);
  return {sums[0].cast(dtype)};
}

}  // namespace bitplan
