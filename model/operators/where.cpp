#include "model/operators/declarations.hpp"
#include "model/operators/strided.hpp"

// Where: condition ? x : y, all three broadcast; x and y of any one type
namespace bitplan {

Facts infer_where(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::boolean});
  require_same_type(node, inputs.subspan(1));
  const Shape values = broadcast(node, inputs[1]->shape, inputs[2]->shape);
  return one_output(node, inputs[1]->dtype, broadcast(node, inputs[0]->shape, values));
}

std::vector<Tensor> evaluate_where(const Node& node, TensorsIn inputs) {
  const Tensor &condition = *inputs[0], &x = *inputs[1], &y = *inputs[2];
  Tensor out(x.dtype(), broadcast(node, condition.shape(), broadcast(node, x.shape(), y.shape())));
  const auto stride = [&](const Tensor& t) { return broadcast_strides(t.shape(), out.shape()); };
  const auto flags = condition.values<bool>();
  const std::size_t bytes = size_of(x.dtype());
  std::byte* to = out.mutable_bytes();
  walk_rows<3>(out.shape(), {stride(condition), stride(x), stride(y)},
               [&](const auto& at, const auto& steps, std::int64_t count) {
                 for (std::int64_t i = 0; i < count; ++i, to += bytes) {
                   const bool first = flags[static_cast<std::size_t>(at[0] + i * steps[0])];
                   const std::size_t k = first ? 1 : 2;
                   const auto from = static_cast<std::size_t>(at[k] + i * steps[k]) * bytes;
                   std::memcpy(to, (first ? x : y).bytes() + from, bytes);
                 }
               });
  return {out};
}

}  // namespace bitplan
