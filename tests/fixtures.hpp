#pragma once
// Networks made by hand for tests that need no ONNX file.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/rng.hpp"
#include "model/network.hpp"

namespace bitplan::test {

/// Adds a tensor without constant; returns its id.
inline TensorId add_tensor(Network& net, std::string name, Shape shape, NodeId producer) {
  TensorInfo info;
  info.name = std::move(name);
  info.shape = std::move(shape);
  info.producer = producer;
  net.tensors.push_back(std::move(info));
  return static_cast<TensorId>(net.tensors.size()) - 1;
}

/// A constant of standard normal values times `scale`, from a stream named after the tensor.
inline TensorId add_constant(Network& net, std::string name, Shape shape, double scale) {
  Rng rng(1, name);
  std::int64_t size = 1;
  for (const std::int64_t d : shape) size *= d;
  std::vector<float> values(static_cast<std::size_t>(size));
  for (float& v : values) v = static_cast<float>(scale * rng.normal());
  const TensorId id = add_tensor(net, std::move(name), shape, -1);
  net.tensors[static_cast<std::size_t>(id)].constant = Tensor::of(std::move(shape), values);
  return id;
}

/// Adds a node that reads `inputs` and makes one output of `shape`; returns the output.
inline TensorId add_node(Network& net, std::string name, std::string op, std::vector<TensorId> inputs,
                         std::string output, Shape shape) {
  const auto id = static_cast<NodeId>(net.nodes.size());
  Node node;
  node.name = std::move(name);
  node.op = std::move(op);
  node.opset = 17;
  node.inputs = std::move(inputs);
  const TensorId out = add_tensor(net, std::move(output), std::move(shape), id);
  node.outputs = {out};
  for (const TensorId t : node.inputs) net.tensors[static_cast<std::size_t>(t)].consumers.push_back(id);
  net.nodes.push_back(std::move(node));
  return out;
}

/// Sites of a network whose layers are complete: weights first, then the distinct inputs of layers.
inline void add_sites(Network& net) {
  for (const Layer& layer : net.layers) {
    Site site;
    site.id = layer.id;
    site.tensor = layer.weight;
    site.layers = {layer.id};
    site.elements = layer.weights;
    site.name = layer.names.module + ".weight";
    net.weight_site.push_back(site.id);
    net.sites.push_back(std::move(site));
  }
  for (const Layer& layer : net.layers) {
    SiteId found = -1;
    for (Site& site : net.sites)
      if (site.kind == Site::Kind::activation && site.tensor == layer.input) {
        site.layers.push_back(layer.id);
        found = site.id;
      }
    if (found < 0) {
      const TensorInfo& tensor = net.tensor(layer.input);
      Site site;
      site.kind = Site::Kind::activation;
      site.id = found = static_cast<SiteId>(net.sites.size());
      site.tensor = layer.input;
      site.layers = {layer.id};
      site.elements = 1;
      for (const std::int64_t d : tensor.shape) site.elements *= d;
      site.elements /= net.batch;
      site.name = tensor.name;
      net.sites.push_back(std::move(site));
    }
    net.input_site.push_back(found);
  }
}

/// A chain of `layers` layers for inputs x [1, 3, 4, 4]: 3x3 convolutions (pads 1) with 4, 8, 12, … output channels and
/// a Relu behind each; output "y". Layer i: module and node "conv<i>", weight "conv<i>.weight", bias "conv<i>.bias",
/// reads "x" or "relu<i-1>". Sites 0 … layers-1 are the weights, layers … 2 layers-1 the activations; macs of layer i
/// are 16 * weights. Without relu, layer i reads "conv<i-1>_out" and the output is that of the last layer.
inline Network small_network(int layers, bool relu = true) {
  Network net;
  net.file = "small.onnx";
  net.sha256 = std::string(64, '0');
  net.producer = "test";
  net.opset = 17;
  TensorId value = add_tensor(net, "x", {1, 3, 4, 4}, -1);
  net.inputs = {value};
  std::int64_t channels = 3;
  for (int i = 0; i < layers; ++i) {
    const std::string name = "conv" + std::to_string(i);
    const std::int64_t outputs = 4 * (i + 1);
    Layer layer;
    layer.id = i;
    layer.op = "Conv";
    layer.node = static_cast<NodeId>(net.nodes.size());
    layer.weight_shape = {outputs, channels, 3, 3};
    layer.output_shape = {1, outputs, 4, 4};
    layer.weight = add_constant(net, name + ".weight", layer.weight_shape, 1.0 / (3 + i));
    layer.bias = add_constant(net, name + ".bias", {outputs}, 0.1);
    layer.input = value;
    layer.output = add_node(net, name, "Conv", {value, layer.weight, layer.bias}, name + "_out", layer.output_shape);
    net.nodes.back().attributes["pads"] = std::vector<std::int64_t>{1, 1, 1, 1};
    net.nodes.back().attributes["kernel_shape"] = std::vector<std::int64_t>{3, 3};
    layer.names = {name, name + ".weight", net.tensor(value).name, name + "_out", name, "initializer", ""};
    layer.weights = outputs * channels * 9;
    layer.macs = 16 * layer.weights;
    value = layer.output;
    const std::string output = i + 1 == layers ? "y" : "relu" + std::to_string(i);
    if (relu) value = add_node(net, "relu_node" + std::to_string(i), "Relu", {value}, output, layer.output_shape);
    net.layers.push_back(std::move(layer));
    channels = outputs;
  }
  net.outputs = {value};
  add_sites(net);
  return net;
}

}  // namespace bitplan::test
