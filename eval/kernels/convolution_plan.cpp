#include "eval/kernels/convolution_plan.hpp"

#include <algorithm>

#include "model/spatial.hpp"

namespace bitplan {

bool ConvolutionPlan::has_padding() const {
  const auto positive = [](std::int64_t p) { return p > 0; };
  return std::ranges::any_of(pad_begin, positive) || std::ranges::any_of(pad_end, positive);
}

ConvolutionPlan plan_convolution(const Network& network, const Layer& layer) {
  const Node& node = network.node(layer.node);
  const Shape& w = network.tensor(layer.weight).shape;
  ConvolutionPlan plan{.source = network.tensor(layer.input).shape,
                       .weights = w,
                       .target = network.tensor(node.outputs[0]).shape,
                       .strides = {},
                       .dilations = {},
                       .pad_begin = {},
                       .pad_end = {},
                       .bias = node.inputs.size() > 2 && node.inputs[2] != kNoTensor};
  const std::int64_t groups = node.integer("group", 1);
  if (groups > 1) {
    plan.weights[0] /= groups;
    plan.weights.insert(plan.weights.begin(), groups);
  }
  for (const Window& window : conv_windows(node, plan.source, {w.begin() + 2, w.end()})) {
    plan.strides.push_back(window.stride);
    plan.dilations.push_back(window.dilation - 1);
    plan.pad_begin.push_back(window.pad_begin);
    plan.pad_end.push_back(window.pad_end);
  }
  return plan;
}

ConvolutionPlan plan_product(std::int64_t m, std::int64_t k, std::int64_t n) {
  const Dims ones(2, 1), zeros(2, 0);
  return {{1, k, 1, m}, {n, k, 1, 1}, {1, n, 1, m}, ones, zeros, zeros, zeros, false};
}

std::optional<MatrixShape> matrix_of(const Shape& weight) {
  if (weight.size() < 2) return std::nullopt;
  const MatrixShape matrix{weight[weight.size() - 2], weight.back()};
  if (element_count(weight) != matrix.rows * matrix.columns) return std::nullopt;
  return matrix;
}

std::optional<std::vector<float>> added_row(const Network& network, const Node& node, std::size_t i, std::int64_t n,
                                            float factor) {
  if (i >= node.inputs.size() || node.inputs[i] == kNoTensor) return std::vector<float>();
  const auto& c = network.tensor(node.inputs[i]).constant;
  if (!c) return std::nullopt;
  const bool row = static_cast<std::int64_t>(c->size()) == n && !c->shape().empty() && c->shape().back() == n;
  if (!row && c->size() != 1) return std::nullopt;
  std::vector<float> values(static_cast<std::size_t>(n));
  for (std::size_t j = 0; j < values.size(); ++j) values[j] = factor * c->values<float>()[row ? j : 0];
  return values;
}

}  // namespace bitplan
