#include "model/operators/declarations.hpp"

// NonZero: the indices of the elements that are not zero, one column each. The shape depends on the values, so these
// must be known when the model is imported; then the result is a constant.
namespace bitplan {
namespace {

Tensor indices_of(const Tensor& x) {
  const Tensor flags = x.cast(DType::boolean);
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < flags.size(); ++i)
    if (flags.values<bool>()[i]) found.push_back(i);
  const Shape& shape = x.shape();
  Tensor y(DType::i64, {static_cast<std::int64_t>(shape.size()), static_cast<std::int64_t>(found.size())});
  const auto to = y.writable<std::int64_t>();
  for (std::size_t n = 0; n < found.size(); ++n) {
    auto rest = static_cast<std::int64_t>(found[n]);
    for (std::size_t d = shape.size(); d-- > 0; rest /= shape[d]) to[d * found.size() + n] = rest % shape[d];
  }
  return y;
}

}  // namespace

Facts infer_non_zero(const Node& node, FactsIn inputs) {
  if (!inputs[0]->constant) fail_data_dependent(node, "the number of its non-zero elements");
  Tensor y = indices_of(*inputs[0]->constant);
  Facts facts = one_output(node, DType::i64, y.shape());
  facts[0].constant = std::move(y);
  return facts;
}

std::vector<Tensor> evaluate_non_zero(const Node&, TensorsIn inputs) { return {indices_of(*inputs[0])}; }

}  // namespace bitplan
