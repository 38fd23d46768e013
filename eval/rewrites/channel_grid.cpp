#include "eval/rewrites/channel_grid.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace bitplan {

ChannelGrid::ChannelGrid(const Network& network, const Layer& layer) {
  const Shape& shape = layer.weight_shape;
  assert(shape.size() >= 2);
  const auto dimension = [&](std::size_t i) { return static_cast<std::size_t>(shape[i]); };
  const Node& node = network.node(layer.node);
  if (layer.op.starts_with("Conv")) groups_ = static_cast<std::size_t>(node.integer("group", 1));
  for (std::size_t i = 2; i < shape.size(); ++i) inner_ *= dimension(i);
  input_first_ =
      layer.op == "ConvTranspose" || layer.op == "MatMul" || (layer.op == "Gemm" && node.integer("transB", 0) == 0);
  first_ = dimension(0) / groups_;
  second_ = dimension(1);
}

std::vector<float> ChannelGrid::magnitudes(std::span<const float> weight) const {
  std::vector<float> out(outputs() * group_inputs());
  for_each([&](std::size_t index, std::size_t output, std::size_t input) {
    float& most = out[output * group_inputs() + input % std::max<std::size_t>(1, group_inputs())];
    most = std::max(most, std::abs(weight[index]));
  });
  return out;
}

std::vector<float> ChannelGrid::rows(std::span<const float> weight) const {
  assert(groups_ == 1 && inner_ == 1);
  std::vector<float> out(weight.size());
  for_each([&](std::size_t index, std::size_t output, std::size_t input) {
    out[output * inputs() + input] = weight[index];
  });
  return out;
}

void ChannelGrid::multiply_inputs(std::span<float> weight, std::span<const float> factors) const {
  assert(factors.size() == inputs());
  for_each([&](std::size_t index, std::size_t, std::size_t input) { weight[index] *= factors[input]; });
}

void ChannelGrid::divide_outputs(std::span<float> weight, std::span<const float> factors) const {
  assert(factors.size() == outputs());
  for_each([&](std::size_t index, std::size_t output, std::size_t) { weight[index] /= factors[output]; });
}

}  // namespace bitplan
