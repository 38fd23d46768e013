#include <algorithm>
#include <cmath>
#include <limits>

#include "model/operators/declarations.hpp"
#include "model/spatial.hpp"

// Pooling over spatial windows, each channel on its own.
namespace bitplan {
namespace {

/// A pad as wide as the kernel would make outputs of nothing but padding: no runtime takes that.
std::vector<Window> pool_windows(const Node& node, const Shape& input) {
  if (!node.has("kernel_shape")) fail_node(node, "attribute 'kernel_shape' is missing");
  auto windows = conv_windows(node, input, node.integers("kernel_shape", {}));
  for (const auto& w : windows)
    if (const std::int64_t pad = std::max(w.pad_begin, w.pad_end); pad > (w.kernel - 1) * w.dilation)
      fail_node(node,
                "a pad of " + std::to_string(pad) + " is not smaller than the kernel of " + std::to_string(w.kernel));
  return windows;
}

Facts infer_pool(const Node& node, const TensorFacts& x) {
  require_rank(node, x, 3, 5);
  Shape shape{x.shape[0], x.shape[1]};
  for (const auto& window : pool_windows(node, x.shape)) shape.push_back(window.output);
  return one_output(node, x.dtype, std::move(shape));
}

/// out = pool(one plane, output index) for all planes and outputs.
template <class Pool>
Tensor pool_planes(const Tensor& x, const std::array<Window, 3>& w, Shape shape, const Pool& pool) {
  Tensor y(DType::f32, std::move(shape));
  float* out = y.writable<float>().data();
  const float* plane = x.values<float>().data();
  const std::int64_t planes = x.shape()[0] * x.shape()[1];
  for (std::int64_t p = 0; p < planes; ++p, plane += w[0].input * w[1].input * w[2].input)
    for (std::int64_t a = 0; a < w[0].output; ++a)
      for (std::int64_t b = 0; b < w[1].output; ++b)
        for (std::int64_t c = 0; c < w[2].output; ++c) *out++ = pool(plane, std::array{a, b, c});
  return y;
}

/// Calls visit(value, position in the plane) for all taps of one output that lie inside the input.
template <class Visit>
void visit_taps(const float* plane, const std::array<Window, 3>& w, const std::array<std::int64_t, 3>& o,
                const Visit& visit) {
  const auto r0 = w[0].taps_of(o[0]), r1 = w[1].taps_of(o[1]), r2 = w[2].taps_of(o[2]);
  for (auto a = r0.begin; a < r0.end; ++a)
    for (auto b = r1.begin; b < r1.end; ++b) {
      const std::int64_t row = (w[0].at(o[0], a) * w[1].input + w[1].at(o[1], b)) * w[2].input;
      for (auto c = r2.begin; c < r2.end; ++c) visit(plane[row + w[2].at(o[2], c)], row + w[2].at(o[2], c));
    }
}

std::int64_t padded_taps(const std::array<Window, 3>& w, const std::array<std::int64_t, 3>& o) {
  std::int64_t taps = 1;
  for (std::size_t d = 0; d < 3; ++d) taps *= w[d].padded_taps_of(o[d]).end;
  return taps;
}

}  // namespace

Facts infer_max_pool(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::f32, DType::i8, DType::u8});
  Facts facts = infer_pool(node, *inputs[0]);
  if (node.outputs.size() > 1) facts.push_back(make_facts(node, DType::i64, facts[0].shape));
  return facts;
}

Facts infer_lp_pool(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::f32});
  if (node.integer("p", 2) < 1) fail_node(node, "attribute 'p' must be at least 1");
  return infer_pool(node, *inputs[0]);
}

Facts infer_average_pool(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::f32});
  return infer_pool(node, *inputs[0]);
}

Facts infer_global_pool(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::f32});
  require_rank(node, *inputs[0], 3, 5);
  if (node.integer("p", 2) < 1) fail_node(node, "attribute 'p' must be at least 1");
  Shape shape(inputs[0]->shape.size(), 1);
  std::copy_n(inputs[0]->shape.begin(), 2, shape.begin());
  return one_output(node, DType::f32, std::move(shape));
}

/// Output 1 (Indices): the place of each maximum in the whole input, planes in row-major order or, with storage_order
/// 1, with the first spatial axis the fastest.
std::vector<Tensor> evaluate_max_pool(const Node& node, TensorsIn inputs) {
  const KnownInputs known(inputs);
  const Facts facts = infer_max_pool(node, known);
  const auto w = three_axes(node, pool_windows(node, inputs[0]->shape()));
  const bool turned = node.integer("storage_order", 0) != 0;
  const Tensor x = inputs[0]->cast(DType::f32);
  const float* first = x.values<float>().data();
  std::vector<std::int64_t> places;
  std::vector<Tensor> outputs{pool_planes(x, w, facts[0].shape, [&](const float* plane, const auto& o) {
    float best = -std::numeric_limits<float>::infinity();
    std::int64_t at = 0;
    visit_taps(plane, w, o, [&](float v, std::int64_t place) {
      if (v > best || v != v) best = v, at = place;
    });
    const std::int64_t a = at / w[2].input / w[1].input, b = at / w[2].input % w[1].input, c = at % w[2].input;
    if (facts.size() > 1) places.push_back(plane - first + (turned ? (c * w[1].input + b) * w[0].input + a : at));
    return best;
  })};
  outputs[0] = outputs[0].cast(inputs[0]->dtype());
  if (facts.size() > 1) outputs.push_back(Tensor::of<std::int64_t>(facts[1].shape, places));
  return outputs;
}

/// Mean over the taps inside the input; with count_include_pad the declared padding counts as zeros.
std::vector<Tensor> evaluate_average_pool(const Node& node, TensorsIn inputs) {
  const KnownInputs known(inputs);
  const auto w = three_axes(node, pool_windows(node, inputs[0]->shape()));
  const bool with_padding = node.integer("count_include_pad", 0) != 0;
  return {pool_planes(*inputs[0], w, infer_average_pool(node, known)[0].shape, [&](const float* plane, const auto& o) {
    double sum = 0;
    std::int64_t taps = 0;
    visit_taps(plane, w, o, [&](float v, std::int64_t) { sum += static_cast<double>(v), ++taps; });
    if (with_padding) taps = padded_taps(w, o);
    return taps == 0 ? 0.0f : static_cast<float>(sum / static_cast<double>(taps));
  })};
}

/// (sum of |x|^p)^(1 / p) over the taps inside the input
std::vector<Tensor> evaluate_lp_pool(const Node& node, TensorsIn inputs) {
  const KnownInputs known(inputs);
  const auto w = three_axes(node, pool_windows(node, inputs[0]->shape()));
  const auto p = static_cast<double>(node.integer("p", 2));
  return {pool_planes(*inputs[0], w, infer_lp_pool(node, known)[0].shape, [&](const float* plane, const auto& o) {
    double sum = 0;
    visit_taps(plane, w, o, [&](float v, std::int64_t) { sum += std::pow(std::abs(static_cast<double>(v)), p); });
    return static_cast<float>(std::pow(sum, 1 / p));
  })};
}

namespace {

template <class Fold>
std::vector<Tensor> global_pool(const Node& node, TensorsIn inputs, const Fold& fold) {
  const KnownInputs known(inputs);
  Tensor y(DType::f32, infer_global_pool(node, known)[0].shape);
  const auto out = y.writable<float>();
  const auto x = inputs[0]->values<float>();
  const std::size_t plane = out.empty() ? 0 : x.size() / out.size();
  if (plane == 0 && !out.empty()) fail_node(node, "its input has no elements");
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = fold(x.subspan(i * plane, plane));
  return {y};
}

}  // namespace

std::vector<Tensor> evaluate_global_average_pool(const Node& node, TensorsIn inputs) {
  return global_pool(node, inputs, [](std::span<const float> plane) {
    double sum = 0;
    for (const float v : plane) sum += static_cast<double>(v);
    return static_cast<float>(sum / static_cast<double>(plane.size()));
  });
}

std::vector<Tensor> evaluate_global_max_pool(const Node& node, TensorsIn inputs) {
  return global_pool(node, inputs,
                     [](std::span<const float> plane) { return *std::max_element(plane.begin(), plane.end()); });
}

std::vector<Tensor> evaluate_global_lp_pool(const Node& node, TensorsIn inputs) {
  const auto p = static_cast<double>(node.integer("p", 2));
  return global_pool(node, inputs, [p](std::span<const float> plane) {
    double sum = 0;
    for (const float v : plane) sum += std::pow(std::abs(static_cast<double>(v)), p);
    return static_cast<float>(std::pow(sum, 1 / p));
  });
}

}  // namespace bitplan
