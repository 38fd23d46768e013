#pragma once
// Networks made by hand and their definition, for the tests of the executor.

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/rng.hpp"
#include "eval/executor/executor.hpp"
#include "model/operator.hpp"
#include "tests/fixtures.hpp"

namespace bitplan::test {

inline Tensor random_tensor(const Shape& shape, const std::string& name) {
  Tensor t(DType::f32, shape);
  Rng rng(3, name);
  for (float& v : t.writable<float>()) v = static_cast<float>(rng.normal());
  return t;
}

/// Builds a network node by node; shapes come from the operators.
class Builder {
 public:
  Network net;

  TensorId input(const Shape& shape) {
    const TensorId id = add_tensor(net, "x" + std::to_string(net.inputs.size()), shape, -1);
    net.inputs.push_back(id);
    net.batch = shape.empty() ? 1 : shape[0];
    return id;
  }
  TensorId constant(Tensor value) {
    const TensorId id = add_tensor(net, "c" + std::to_string(net.tensors.size()), value.shape(), -1);
    info(id).dtype = value.dtype();
    info(id).constant = std::move(value);
    return id;
  }
  TensorId integers(const std::vector<std::int64_t>& values) {
    return constant(Tensor::of({static_cast<std::int64_t>(values.size())}, values));
  }
  TensorId random(const Shape& shape, double scale = 1) {
    return add_constant(net, "w" + std::to_string(net.tensors.size()), shape, scale);
  }

  using Attributes = std::map<std::string, Attribute>;
  TensorId op(const std::string& name, const std::vector<TensorId>& inputs, Attributes attributes = {},
              int opset = 17) {
    return ops(name, inputs, std::move(attributes), opset)[0];
  }
  std::vector<TensorId> ops(const std::string& name, const std::vector<TensorId>& inputs, Attributes attributes,
                            int opset, std::size_t outputs = 1) {
    Node node;
    const auto id = static_cast<NodeId>(net.nodes.size());
    node.name = name + std::to_string(id);
    node.op = name;
    node.opset = opset;
    node.inputs = inputs;
    node.attributes = std::move(attributes);
    node.outputs.resize(outputs);
    std::vector<TensorFacts> facts;
    for (const TensorId t : inputs)
      facts.push_back(t < 0 ? TensorFacts{} : TensorFacts{info(t).dtype, info(t).shape, info(t).constant});
    std::vector<const TensorFacts*> pointers;
    for (std::size_t i = 0; i < inputs.size(); ++i) pointers.push_back(inputs[i] < 0 ? nullptr : &facts[i]);
    const auto made = find_operator(name)->infer(node, pointers);
    for (std::size_t i = 0; i < outputs; ++i) {
      node.outputs[i] = add_tensor(net, "t" + std::to_string(net.tensors.size()), made[i].shape, id);
      info(node.outputs[i]).dtype = made[i].dtype;
    }
    for (const TensorId t : inputs)
      if (t >= 0) info(t).consumers.push_back(id);
    net.nodes.push_back(node);
    return node.outputs;
  }

  struct ConvShape {
    std::int64_t kernel = 3, stride = 1, pad = 1, group = 1;
  };
  TensorId conv(TensorId x, std::int64_t outputs, ConvShape s) {
    const std::int64_t in = info(x).shape[1] / s.group;
    const double scale = 1 / std::sqrt(static_cast<double>(in * s.kernel * s.kernel));
    const TensorId w = random({outputs, in, s.kernel, s.kernel}, scale), b = random({outputs}, 0.1);
    const auto twice = [](std::int64_t v, std::size_t n) { return std::vector<std::int64_t>(n, v); };
    const TensorId y =
        op("Conv", {x, w, b}, {{"strides", twice(s.stride, 2)}, {"pads", twice(s.pad, 4)}, {"group", s.group}});
    return layer(y, x, w);
  }
  TensorId conv(TensorId x, std::int64_t outputs) { return conv(x, outputs, ConvShape()); }
  /// Declares the node that made y a layer.
  TensorId layer(TensorId y, TensorId x, TensorId w) {
    Layer layer;
    layer.id = static_cast<LayerId>(net.layers.size());
    layer.node = info(y).producer;
    layer.op = net.node(layer.node).op;
    layer.input = x;
    layer.weight = w;
    layer.output = y;
    layer.weight_shape = info(w).shape;
    layer.output_shape = info(y).shape;
    layer.weights = element_count(info(w).shape);
    layer.names.node = layer.names.module = net.node(layer.node).name;
    net.layers.push_back(layer);
    return y;
  }
  std::shared_ptr<const Network> finish(const std::vector<TensorId>& outputs) {
    net.outputs = outputs;
    add_sites(net);
    return std::make_shared<const Network>(net);
  }

 private:
  TensorInfo& info(TensorId id) { return net.tensors[static_cast<std::size_t>(id)]; }
};

/// A candidate before packing.
struct Quantization {
  std::map<LayerId, std::vector<float>> weights;
  std::map<SiteId, Affine> activations;
  std::map<SiteId, SiteQuantizer> by_parts;

  Candidate on(const Executor& executor) const {
    Candidate candidate;
    candidate.weights.resize(executor.network().layers.size());
    for (const auto& [layer, values] : weights)
      candidate.weights[static_cast<std::size_t>(layer)] = executor.pack(layer, values);
    candidate.activations.resize(executor.network().sites.size());
    for (const auto& [site, affine] : activations) candidate.activations[static_cast<std::size_t>(site)] = affine;
    if (!by_parts.empty()) candidate.by_parts.resize(executor.network().sites.size());
    for (const auto& [site, parts] : by_parts)
      candidate.by_parts[static_cast<std::size_t>(site)] = std::make_shared<const SiteQuantizer>(parts);
    return candidate;
  }
};

/// An activation quantized by parts, one element after the other. A token is what has all indices but the channel's in
/// common.
inline Tensor by_parts(const SiteQuantizer& q, const Tensor& x) {
  const auto values = x.values<float>();
  const std::int64_t channels = q.channels, inner = q.inner;
  const auto at = [&](std::int64_t o, std::int64_t c, std::int64_t i) {
    return static_cast<std::size_t>((o * channels + c) * inner + i);
  };
  const auto is_float = [&](std::int64_t c) {
    return std::ranges::count(q.float_channels, static_cast<std::int32_t>(c)) > 0;
  };
  Tensor result = Tensor::of(x.shape(), values);
  for (std::int64_t o = 0; o < std::ssize(values) / channels / inner; ++o)
    for (std::int64_t i = 0; i < inner; ++i) {
      float low = 0, high = 0;
      for (std::int64_t c = 0; c < channels; ++c)
        if (!is_float(c)) low = std::min(low, values[at(o, c, i)]), high = std::max(high, values[at(o, c, i)]);
      const Affine token = affine_from_range(low, high, q.bits, q.symmetric, q.narrow);
      for (std::int64_t c = 0; c < channels; ++c) {
        if (is_float(c)) continue;
        const Affine& part = q.kind == Granularity::Kind::token     ? token
                             : q.kind == Granularity::Kind::channel ? q.parts[static_cast<std::size_t>(c)]
                                                                    : q.parts.front();
        fake_quantize_ref(part, values.subspan(at(o, c, i), 1), result.writable<float>().subspan(at(o, c, i), 1));
      }
    }
  return result;
}

/// The outputs by definition: every node by its reference, layers on quantized inputs and weights.
inline std::vector<Tensor> by_definition(const Network& net, const std::vector<Tensor>& inputs,
                                         const Quantization& q = {}) {
  std::vector<Tensor> values(net.tensors.size());
  for (std::size_t t = 0; t < values.size(); ++t)
    if (net.tensors[t].constant) values[t] = *net.tensors[t].constant;
  for (std::size_t i = 0; i < inputs.size(); ++i) values[static_cast<std::size_t>(net.inputs[i])] = inputs[i];
  for (std::size_t n = 0; n < net.nodes.size(); ++n) {
    const Node& node = net.nodes[n];
    std::vector<Tensor> arguments;
    for (const TensorId t : node.inputs) arguments.push_back(t < 0 ? Tensor() : values[static_cast<std::size_t>(t)]);
    for (const Layer& layer : net.layers) {
      if (layer.node != static_cast<NodeId>(n)) continue;
      for (std::size_t i = 0; i < arguments.size(); ++i) {
        const auto weight = q.weights.find(layer.id);
        const auto affine = q.activations.find(net.input_site[static_cast<std::size_t>(layer.id)]);
        if (node.inputs[i] == layer.weight && weight != q.weights.end())
          arguments[i] = Tensor::of(arguments[i].shape(), weight->second);
        if (node.inputs[i] == layer.input && affine != q.activations.end()) {
          const Tensor x = arguments[i];
          fake_quantize_ref(affine->second, x.values<float>(), arguments[i].writable<float>());
        }
        const auto parts = q.by_parts.find(net.input_site[static_cast<std::size_t>(layer.id)]);
        if (node.inputs[i] == layer.input && parts != q.by_parts.end())
          arguments[i] = by_parts(parts->second, arguments[i]);
      }
    }
    for (const Site& site : net.sites) {
      const auto affine = q.activations.find(site.id);
      if (affine == q.activations.end() || !std::ranges::count(site.products, static_cast<NodeId>(n))) continue;
      for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (node.inputs[i] != site.tensor) continue;
        const Tensor x = arguments[i];
        fake_quantize_ref(affine->second, x.values<float>(), arguments[i].writable<float>());
      }
    }
    for (const auto& [id, parts] : q.by_parts)
      for (std::size_t i = 0; i < arguments.size(); ++i)
        if (node.inputs[i] == net.site(id).tensor && std::ranges::count(net.site(id).products, static_cast<NodeId>(n)))
          arguments[i] = by_parts(parts, arguments[i]);
    std::vector<const Tensor*> pointers;
    for (std::size_t i = 0; i < arguments.size(); ++i) pointers.push_back(node.inputs[i] < 0 ? nullptr : &arguments[i]);
    const auto results = find_operator(node.op)->evaluate(node, pointers);
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] >= 0) values[static_cast<std::size_t>(node.outputs[i])] = results[i];
  }
  std::vector<Tensor> outputs;
  for (const TensorId t : net.outputs) outputs.push_back(values[static_cast<std::size_t>(t)]);
  return outputs;
}

/// Largest difference relative to the largest value of `expected`; infinite when shapes or types differ.
inline double distance(const Tensor& made, const Tensor& expected) {
  if (made.shape() != expected.shape() || made.dtype() != expected.dtype()) return INFINITY;
  if (made.dtype() != DType::f32)
    return std::memcmp(made.bytes(), expected.bytes(), made.byte_size()) == 0 ? 0 : INFINITY;
  double most = 0, difference = 0;
  for (std::size_t i = 0; i < made.size(); ++i) {
    const double a = static_cast<double>(made.values<float>()[i]), b = static_cast<double>(expected.values<float>()[i]);
    if (!(std::abs(a - b) <= INFINITY)) return INFINITY;
    difference = std::max(difference, std::abs(a - b));
    most = std::max(most, std::abs(b));
  }
  return most == 0 ? difference : difference / most;
}

/// All outputs of one run.
inline std::vector<Tensor> run(const Executor& executor, const std::vector<Tensor>& inputs,
                               const Quantization& q = {}) {
  const auto workspace = executor.make_workspace();
  executor.run(*workspace, inputs, q.on(executor));
  std::vector<Tensor> outputs;
  for (std::size_t i = 0; i < executor.network().outputs.size(); ++i) outputs.push_back(executor.output(*workspace, i));
  return outputs;
}

inline std::vector<Tensor> random_inputs(const Network& net) {
  std::vector<Tensor> inputs;
  for (const TensorId t : net.inputs) inputs.push_back(random_tensor(net.tensor(t).shape, net.tensor(t).name));
  return inputs;
}

}  // namespace bitplan::test
