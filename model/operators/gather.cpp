#include "model/operators/declarations.hpp"
#include "model/operators/strided.hpp"

// Gather: Y[.., i.., ..] = data[.., indices[i..], ..] along one axis; GatherElements: one index for each element;
// GatherND: rows of indices address leading axes. Negative indices count from the end; others must be inside.
namespace bitplan {
namespace {

void require_indices(const Node& node, const TensorFacts& indices) {
  require_type(node, indices, {DType::i64, DType::i32});
}

std::int64_t checked(const Node& node, std::int64_t index, std::int64_t size) {
  if (index < -size || index >= size)
    fail_node(node, "index " + std::to_string(index) + " is outside an axis of " + std::to_string(size));
  return index < 0 ? index + size : index;
}

std::int64_t count_between(const Shape& shape, std::size_t begin, std::size_t end) {
  return element_count(
      Shape(shape.begin() + static_cast<std::ptrdiff_t>(begin), shape.begin() + static_cast<std::ptrdiff_t>(end)));
}

}  // namespace

Facts infer_gather(const Node& node, FactsIn inputs) {
  require_indices(node, *inputs[1]);
  const Shape &data = inputs[0]->shape, &indices = inputs[1]->shape;
  const auto axis = static_cast<std::ptrdiff_t>(axis_of(node, node.integer("axis", 0), data.size()));
  Shape shape(data.begin(), data.begin() + axis);
  shape.insert(shape.end(), indices.begin(), indices.end());
  shape.insert(shape.end(), data.begin() + axis + 1, data.end());
  return one_output(node, inputs[0]->dtype, std::move(shape));
}

std::vector<Tensor> evaluate_gather(const Node& node, TensorsIn inputs) {
  const KnownInputs known(inputs);
  const Tensor& data = *inputs[0];
  Tensor out(data.dtype(), infer_gather(node, known)[0].shape);
  const std::size_t axis = axis_of(node, node.integer("axis", 0), data.shape().size());
  const std::int64_t size = data.shape()[axis], outer = count_between(data.shape(), 0, axis);
  const auto bytes =
      static_cast<std::size_t>(count_between(data.shape(), axis + 1, data.shape().size())) * size_of(data.dtype());
  auto indices = inputs[1]->integers();
  for (auto& index : indices) index = checked(node, index, size);
  std::byte* to = out.mutable_bytes();
  for (std::int64_t o = 0; o < outer && bytes > 0; ++o)
    for (const auto index : indices) {
      std::memcpy(to, data.bytes() + static_cast<std::size_t>(o * size + index) * bytes, bytes);
      to += bytes;
    }
  return {out};
}

Facts infer_gather_elements(const Node& node, FactsIn inputs) {
  require_indices(node, *inputs[1]);
  const Shape &data = inputs[0]->shape, &indices = inputs[1]->shape;
  const std::size_t axis = axis_of(node, node.integer("axis", 0), data.size());
  bool fits = indices.size() == data.size();
  for (std::size_t d = 0; fits && d < data.size(); ++d) fits = d == axis || indices[d] <= data[d];
  if (!fits) fail_node(node, "indices " + to_string(indices) + " do not fit data " + to_string(data));
  return one_output(node, inputs[0]->dtype, indices);
}

std::vector<Tensor> evaluate_gather_elements(const Node& node, TensorsIn inputs) {
  const Tensor& data = *inputs[0];
  const std::size_t axis = axis_of(node, node.integer("axis", 0), data.shape().size()), bytes = size_of(data.dtype());
  const auto indices = inputs[1]->integers();
  Tensor out(data.dtype(), inputs[1]->shape());
  Strides own = strides_of(data.shape());
  const std::int64_t along = own[axis];
  own[axis] = 0;
  std::byte* to = out.mutable_bytes();
  auto index = indices.begin();
  walk_rows<1>(out.shape(), {own}, [&](const auto& at, const auto& steps, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i, to += bytes, ++index) {
      const std::int64_t from = at[0] + i * steps[0] + checked(node, *index, data.shape()[axis]) * along;
      std::memcpy(to, data.bytes() + static_cast<std::size_t>(from) * bytes, bytes);
    }
  });
  return {out};
}

Facts infer_gather_nd(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[1], {DType::i64});
  const Shape &data = inputs[0]->shape, &indices = inputs[1]->shape;
  const std::int64_t lead = node.integer("batch_dims", 0);
  const auto misfit = [&]() {
    fail_node(node, "indices " + to_string(indices) + " do not fit data " + to_string(data) + " with batch_dims " +
                        std::to_string(lead));
  };
  if (lead < 0 || indices.empty() || lead >= static_cast<std::int64_t>(indices.size()) ||
      lead > static_cast<std::int64_t>(data.size()))
    misfit();
  for (std::size_t d = 0; d < static_cast<std::size_t>(lead); ++d)
    if (data[d] != indices[d]) misfit();
  const std::int64_t depth = indices.back();
  if (depth < 1 || depth > static_cast<std::int64_t>(data.size()) - lead) misfit();
  Shape shape(indices.begin(), indices.end() - 1);
  shape.insert(shape.end(), data.begin() + lead + depth, data.end());
  return one_output(node, inputs[0]->dtype, std::move(shape));
}

std::vector<Tensor> evaluate_gather_nd(const Node& node, TensorsIn inputs) {
  const KnownInputs known(inputs);
  const Tensor& data = *inputs[0];
  const Shape &shape = data.shape(), &index_shape = inputs[1]->shape();
  Tensor out(data.dtype(), infer_gather_nd(node, known)[0].shape);
  const auto lead = static_cast<std::size_t>(node.integer("batch_dims", 0));
  const auto depth = static_cast<std::size_t>(index_shape.back());
  const Strides strides = strides_of(shape);
  const auto indices = inputs[1]->integers();
  const auto bytes = static_cast<std::size_t>(count_between(shape, lead + depth, shape.size())) * size_of(data.dtype());
  const std::int64_t batches = count_between(shape, 0, lead);
  const std::int64_t batch_size = count_between(shape, lead, shape.size());
  const std::size_t rows = indices.size() / depth;
  std::byte* to = out.mutable_bytes();
  for (std::size_t row = 0; row < rows && bytes > 0; ++row, to += bytes) {
    const auto batch = static_cast<std::int64_t>(row / (rows / static_cast<std::size_t>(batches)));
    std::int64_t from = batch * batch_size;
    for (std::size_t d = 0; d < depth; ++d)
      from += checked(node, indices[row * depth + d], shape[lead + d]) * strides[lead + d];
    std::memcpy(to, data.bytes() + static_cast<std::size_t>(from) * size_of(data.dtype()), bytes);
  }
  return {out};
}

}  // namespace bitplan
