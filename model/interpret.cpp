#include "model/interpret.hpp"

#include "core/error.hpp"
#include "model/operator.hpp"

namespace bitplan {
namespace {

void check_inputs(const Network& network, std::span<const Tensor> inputs) {
  if (inputs.size() != network.inputs.size())
    throw InputError(std::to_string(inputs.size()) + " inputs given; the network has " +
                     std::to_string(network.inputs.size()));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorInfo& wanted = network.tensor(network.inputs[i]);
    if (inputs[i].dtype() != wanted.dtype || inputs[i].shape() != wanted.shape)
      throw InputError("input '" + wanted.name + "' is " + to_string(inputs[i].shape()) + " of " +
                       std::string(name_of(inputs[i].dtype())) + "; needed: " + to_string(wanted.shape) + " of " +
                       std::string(name_of(wanted.dtype)));
  }
}

}  // namespace

std::vector<Tensor> interpret(const Network& network, std::span<const Tensor> inputs) {
  check_inputs(network, inputs);
  std::vector<Tensor> values(network.tensors.size());
  std::vector<std::size_t> readers(network.tensors.size());
  for (std::size_t t = 0; t < values.size(); ++t) {
    if (network.tensors[t].constant) values[t] = *network.tensors[t].constant;
    readers[t] = network.tensors[t].consumers.size();
  }
  for (const TensorId output : network.outputs) ++readers[static_cast<std::size_t>(output)];
  for (std::size_t i = 0; i < inputs.size(); ++i) values[static_cast<std::size_t>(network.inputs[i])] = inputs[i];

  for (const Node& node : network.nodes) {
    std::vector<const Tensor*> arguments;
    for (const TensorId id : node.inputs)
      arguments.push_back(id == kNoTensor ? nullptr : &values[static_cast<std::size_t>(id)]);
    auto results = find_operator(node.op)->evaluate(node, arguments);
    for (const TensorId id : node.inputs)
      if (id != kNoTensor && --readers[static_cast<std::size_t>(id)] == 0)
        values[static_cast<std::size_t>(id)] = Tensor();
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] != kNoTensor) values[static_cast<std::size_t>(node.outputs[i])] = std::move(results[i]);
  }
  std::vector<Tensor> outputs;
  for (const TensorId id : network.outputs) outputs.push_back(values[static_cast<std::size_t>(id)]);
  return outputs;
}

}  // namespace bitplan
