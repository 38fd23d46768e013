#include <algorithm>
#include <cmath>

#include "model/operators/declarations.hpp"

// Softmax, LogSoftmax and Hardmax. Since opset 13 over one axis (default the last); before, over all axes from `axis`
// on (default 1), as if the tensor were a matrix.
namespace bitplan {
namespace {

struct Rows {
  std::int64_t outer = 1, length = 1, inner = 1;
};

Rows rows_of(const Node& node, const Shape& shape) {
  const bool flattened = node.opset < 13;
  const std::int64_t given = node.integer("axis", flattened ? 1 : -1);
  // Before opset 13 axis may equal the rank: then each row has one element.
  const std::size_t axis =
      flattened && given == static_cast<std::int64_t>(shape.size()) ? shape.size() : axis_of(node, given, shape.size());
  Rows rows;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (d < axis)
      rows.outer *= shape[d];
    else if (d == axis || flattened)
      rows.length *= shape[d];
    else
      rows.inner *= shape[d];
  }
  return rows;
}

template <class Finish>
std::vector<Tensor> normalize(const Node& node, TensorsIn inputs, const Finish& finish) {
  Tensor y = *inputs[0];
  const Rows rows = rows_of(node, y.shape());
  if (y.size() == 0) return {y};
  float* values = y.writable<float>().data();
  for (std::int64_t o = 0; o < rows.outer; ++o)
    for (std::int64_t i = 0; i < rows.inner; ++i) {
      float* row = values + o * rows.length * rows.inner + i;
      float top = row[0];
      for (std::int64_t k = 1; k < rows.length; ++k) top = std::max(top, row[k * rows.inner]);
      double sum = 0;
      for (std::int64_t k = 0; k < rows.length; ++k)
        sum += std::exp(static_cast<double>(row[k * rows.inner]) - static_cast<double>(top));
      for (std::int64_t k = 0; k < rows.length; ++k) {
        float& v = row[k * rows.inner];
        v = static_cast<float>(finish(static_cast<double>(v) - static_cast<double>(top), sum));
      }
    }
  return {y};
}

}  // namespace

Facts infer_softmax(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::f32});
  rows_of(node, inputs[0]->shape);
  return one_output(node, DType::f32, inputs[0]->shape);
}

std::vector<Tensor> evaluate_softmax(const Node& node, TensorsIn inputs) {
  return normalize(node, inputs, [](double shifted, double sum) { return std::exp(shifted) / sum; });
}

std::vector<Tensor> evaluate_log_softmax(const Node& node, TensorsIn inputs) {
  return normalize(node, inputs, [](double shifted, double sum) { return shifted - std::log(sum); });
}

/// Hardmax: 1 at the first largest element of each row, 0 elsewhere.
std::vector<Tensor> evaluate_hardmax(const Node& node, TensorsIn inputs) {
  const Tensor& x = *inputs[0];
  Tensor y(DType::f32, x.shape());
  const Rows rows = rows_of(node, x.shape());
  float* to = y.writable<float>().data();
  for (std::int64_t n = 0; y.size() > 0 && n < rows.outer * rows.inner; ++n) {
    const std::int64_t begin = n / rows.inner * rows.length * rows.inner + n % rows.inner;
    const float* row = x.values<float>().data() + begin;
    std::int64_t best = 0;
    for (std::int64_t k = 1; k < rows.length; ++k)
      if (row[k * rows.inner] > row[best * rows.inner]) best = k;
    to[begin + best * rows.inner] = 1;
  }
  return {y};
}

}  // namespace bitplan
