#pragma once
// The definition of biases that come with quantized weights.

#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {

/// [1, C, 1, 1] or [1, 1, F] of one number a channel; the shape of one sample's output of one number an element.
inline Shape shape_of_bias(const Network& net, const Layer& layer, std::size_t numbers) {
  Shape sample = net.tensor(layer.output).shape;
  sample[0] = 1;
  const std::size_t channel_axis = layer.op == "Conv" ? 1 : sample.size() - 1;
  if (static_cast<std::int64_t>(numbers) != sample[channel_axis]) return sample;
  Shape row(sample.size(), 1);
  row[channel_axis] = sample[channel_axis];
  return row;
}

/// The outputs of a network whose layers are each followed by an addition of their bias, by definition. Of layers with
/// none (or beyond the last) none is added. Outputs of the network that are outputs of layers have the bias.
inline std::vector<Tensor> with_additions(const std::shared_ptr<const Network>& net, const std::vector<Tensor>& inputs,
                                          const Quantization& q, const std::vector<std::vector<float>>& biases) {
  Network longer = *net;
  for (std::size_t l = 0; l < biases.size(); ++l) {
    if (biases[l].empty()) continue;
    const Layer layer = longer.layers[l];
    const Shape shape = shape_of_bias(*net, layer, biases[l].size());
    const TensorId row = add_tensor(longer, "added", shape, -1);
    longer.tensors[static_cast<std::size_t>(row)].constant = Tensor::of(shape, biases[l]);
    const TensorId sum = add_node(longer, "addition", "Add", {layer.output, row}, "sum", layer.output_shape);
    // The addition stands right behind the layer, whose readers read it.
    Node addition = longer.nodes.back();
    longer.nodes.pop_back();
    for (Node& node : longer.nodes) std::ranges::replace(node.inputs, layer.output, sum);
    longer.nodes.insert(longer.nodes.begin() + layer.node + 1, addition);
    std::ranges::replace(longer.outputs, layer.output, sum);
    for (Layer& other : longer.layers) {
      if (other.node > layer.node) ++other.node;
      if (other.input == layer.output) other.input = sum;
    }
  }
  return by_definition(longer, inputs, q);
}

}  // namespace bitplan::test
