#include <algorithm>

#include "model/operators/declarations.hpp"
#include "model/operators/dispatch.hpp"
#include "model/operators/strided.hpp"

// ScatterElements and ScatterND: a copy of data in which the elements (rows) that indices name are replaced by, or
// since opset 16 joined with, those of updates: reduction none, add, mul and since opset 18 max, min. Updates are taken
// in their order.
namespace bitplan {
namespace {

void check_scatter(const Node& node, FactsIn inputs) {
  const std::string reduction = node.text("reduction", "none");
  const bool late = reduction == "max" || reduction == "min";
  if (reduction != "none" && reduction != "add" && reduction != "mul" && !late)
    fail_node(node, "attribute 'reduction' is '" + reduction + "'; known: none, add, mul, max, min");
  if (late && node.opset < 18) fail_node(node, "reduction '" + reduction + "' needs opset 18");
  if (reduction != "none") require_number(node, *inputs[0]);
  require_type(node, *inputs[1], {DType::i64, DType::i32});
  require_same_type(node, std::array{inputs[0], inputs[2]});
}

/// Joins `count` elements at `to` with those at `from`.
class Join {
 public:
  Join(const Node& node, DType dtype) : dtype_(dtype), reduction_(node.text("reduction", "none")) {}

  void operator()(std::byte* to, const std::byte* from, std::size_t count) const {
    if (reduction_ == "none") {
      std::memcpy(to, from, count * size_of(dtype_));
      return;
    }
    visit_number(dtype_, [&]<class T>(T) {
      T* a = reinterpret_cast<T*>(to);
      const T* b = reinterpret_cast<const T*>(from);
      for (std::size_t i = 0; i < count; ++i) a[i] = join(a[i], b[i]);
    });
  }

 private:
  template <class T>
  T join(T a, T b) const {
    using Wide = std::conditional_t<std::is_integral_v<T>, std::uint64_t, T>;  // integers wrap
    if (reduction_ == "add") return static_cast<T>(static_cast<Wide>(a) + static_cast<Wide>(b));
    if (reduction_ == "mul") return static_cast<T>(static_cast<Wide>(a) * static_cast<Wide>(b));
    return reduction_ == "max" ? std::max(a, b) : std::min(a, b);
  }

  DType dtype_;
  std::string reduction_;
};

std::int64_t checked(const Node& node, std::int64_t index, std::int64_t size) {
  if (index < -size || index >= size)
    fail_node(node, "index " + std::to_string(index) + " is outside an axis of " + std::to_string(size));
  return index < 0 ? index + size : index;
}

}  // namespace

Facts infer_scatter_elements(const Node& node, FactsIn inputs) {
  check_scatter(node, inputs);
  const Shape &data = inputs[0]->shape, &indices = inputs[1]->shape, &updates = inputs[2]->shape;
  const std::size_t axis = axis_of(node, node.integer("axis", 0), data.size());
  bool fits = indices.size() == data.size() && updates == indices;
  for (std::size_t d = 0; fits && d < data.size(); ++d) fits = d == axis || indices[d] <= data[d];
  if (!fits)
    fail_node(node, "indices " + to_string(indices) + " and updates " + to_string(updates) + " do not fit data " +
                        to_string(data));
  return one_output(node, inputs[0]->dtype, data);
}

std::vector<Tensor> evaluate_scatter_elements(const Node& node, TensorsIn inputs) {
  Tensor y = *inputs[0];
  const std::size_t axis = axis_of(node, node.integer("axis", 0), y.shape().size()), bytes = size_of(y.dtype());
  const Join join(node, y.dtype());
  const auto indices = inputs[1]->integers();
  Strides own = strides_of(y.shape());
  const std::int64_t along = own[axis], size = y.shape()[axis];
  own[axis] = 0;
  std::byte* to = y.mutable_bytes();
  std::size_t i = 0;
  walk_rows<1>(inputs[1]->shape(), {own}, [&](const auto& at, const auto& steps, std::int64_t count) {
    for (std::int64_t k = 0; k < count; ++k, ++i) {
      const std::int64_t place = at[0] + k * steps[0] + checked(node, indices[i], size) * along;
      join(to + static_cast<std::size_t>(place) * bytes, inputs[2]->bytes() + i * bytes, 1);
    }
  });
  return {y};
}

Facts infer_scatter_nd(const Node& node, FactsIn inputs) {
  check_scatter(node, inputs);
  const Shape &data = inputs[0]->shape, &indices = inputs[1]->shape, &updates = inputs[2]->shape;
  const auto misfit = [&] {
    fail_node(node, "indices " + to_string(indices) + " and updates " + to_string(updates) + " do not fit data " +
                        to_string(data));
  };
  if (indices.empty() || indices.back() < 1 || indices.back() > static_cast<std::int64_t>(data.size())) misfit();
  Shape wanted(indices.begin(), indices.end() - 1);
  wanted.insert(wanted.end(), data.begin() + indices.back(), data.end());
  if (updates != wanted) misfit();
  return one_output(node, inputs[0]->dtype, data);
}

std::vector<Tensor> evaluate_scatter_nd(const Node& node, TensorsIn inputs) {
  Tensor y = *inputs[0];
  const Shape& shape = y.shape();
  const auto depth = static_cast<std::size_t>(inputs[1]->shape().back());
  const auto indices = inputs[1]->integers();
  const std::size_t rows = indices.size() / depth, bytes = size_of(y.dtype());
  if (rows == 0 || inputs[2]->size() == 0) return {y};
  const std::size_t count = inputs[2]->size() / rows;
  const Strides strides = strides_of(shape);
  const Join join(node, y.dtype());
  std::byte* to = y.mutable_bytes();
  for (std::size_t row = 0; row < rows; ++row) {
    std::int64_t place = 0;
    for (std::size_t d = 0; d < depth; ++d) place += checked(node, indices[row * depth + d], shape[d]) * strides[d];
    join(to + static_cast<std::size_t>(place) * bytes, inputs[2]->bytes() + row * count * bytes, count);
  }
  return {y};
}

}  // namespace bitplan
