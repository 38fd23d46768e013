#include "model/operators/declarations.hpp"
#include "model/operators/lines.hpp"

// ReverseSequence: for each entry of the batch axis, the first sequence_lens[b] steps of the time axis turned around.
namespace bitplan {

Facts infer_reverse_sequence(const Node& node, FactsIn inputs) {
  const TensorFacts& x = *inputs[0];
  require_rank(node, x, 2, 64);
  require_type(node, *inputs[1], {DType::i64});
  const std::int64_t batch = node.integer("batch_axis", 1), time = node.integer("time_axis", 0);
  if (batch < 0 || batch > 1 || time != 1 - batch)
    fail_node(node, "attributes 'batch_axis' and 'time_axis' must be 0 and 1 or 1 and 0");
  if (inputs[1]->shape != Shape{x.shape[static_cast<std::size_t>(batch)]})
    fail_node(node, "lengths " + to_string(inputs[1]->shape) + " do not fit input " + to_string(x.shape));
  return one_output(node, x.dtype, x.shape);
}

std::vector<Tensor> evaluate_reverse_sequence(const Node& node, TensorsIn inputs) {
  const Tensor& x = *inputs[0];
  Tensor y = x;
  const bool batch_first = node.integer("batch_axis", 1) == 0;
  const std::int64_t batches = x.shape()[batch_first ? 0 : 1], steps = x.shape()[batch_first ? 1 : 0];
  const std::size_t row = static_cast<std::size_t>(Lines::of(x.shape(), 0, 2).inner) * size_of(x.dtype());
  std::byte* to = y.mutable_bytes();
  for (std::int64_t b = 0; b < batches && row > 0; ++b) {
    const std::int64_t length = inputs[1]->values<std::int64_t>()[static_cast<std::size_t>(b)];
    if (length < 0 || length > steps)
      fail_node(node, "a length is " + std::to_string(length) + "; the time axis has " + std::to_string(steps));
    const auto at = [&](std::int64_t t) {
      return static_cast<std::size_t>(batch_first ? b * steps + t : t * batches + b) * row;
    };
    for (std::int64_t t = 0; t < length; ++t) std::memcpy(to + at(t), x.bytes() + at(length - 1 - t), row);
  }
  return {y};
}

}  // namespace bitplan
