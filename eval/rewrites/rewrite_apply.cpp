#include <algorithm>
#include <cassert>
#include <utility>

#include "eval/executor/graph_patterns.hpp"
#include "eval/rewrites/channel_grid.hpp"
#include "eval/rewrites/rewrite_fold.hpp"

namespace bitplan {
namespace {

TensorInfo& info_of(Network& net, TensorId id) { return net.tensors[static_cast<std::size_t>(id)]; }

std::string unique_tensor_name(const Network& net, const std::string& base) {
  std::string name = base;
  for (int i = 2; std::ranges::find(net.tensors, name, &TensorInfo::name) != net.tensors.end(); ++i)
    name = base + "#" + std::to_string(i);
  return name;
}

TensorId add_tensor(Network& net, const std::string& name, Shape shape, std::optional<Tensor> constant) {
  TensorInfo info;
  info.name = unique_tensor_name(net, name);
  info.shape = std::move(shape);
  info.constant = std::move(constant);
  net.tensors.push_back(std::move(info));
  return static_cast<TensorId>(net.tensors.size()) - 1;
}

/// Gives input i of a node another constant: in place when nobody else reads the old one.
void replace_constant(Network& net, NodeId id, std::size_t i, Tensor value) {
  Node& node = net.nodes[static_cast<std::size_t>(id)];
  const TensorId old = node.inputs[i];
  auto& readers = info_of(net, old).consumers;
  if (readers.size() == 1 && std::ranges::find(net.outputs, old) == net.outputs.end()) {
    info_of(net, old).shape = value.shape();
    info_of(net, old).constant = std::move(value);
    return;
  }
  readers.erase(std::ranges::find(readers, id));
  const Shape shape = value.shape();
  const TensorId made = add_tensor(net, info_of(net, old).name + "/" + node.name, shape, std::move(value));
  info_of(net, made).consumers = {id};
  node.inputs[i] = made;
  for (Layer& layer : net.layers)
    if (layer.node == id && layer.bias == old && i == 2) layer.bias = made;
}

/// The constant over factors[channel], repeated along the channels where it has one value for all.
Tensor divided(const Tensor& constant, std::size_t from_end, std::span<const float> factors) {
  Shape shape = constant.shape();
  while (shape.size() < from_end) shape.insert(shape.begin(), 1);
  const std::size_t axis = shape.size() - from_end;
  std::size_t inner = 1;
  for (std::size_t d = axis + 1; d < shape.size(); ++d) inner *= static_cast<std::size_t>(shape[d]);
  const auto channels = static_cast<std::size_t>(shape[axis]);
  assert(channels == 1 || channels == factors.size());
  shape[axis] = static_cast<std::int64_t>(factors.size());
  Tensor result(DType::f32, shape);
  const auto from = constant.values<float>();
  auto to = result.writable<float>();
  for (std::size_t i = 0; i < to.size(); ++i) {
    const std::size_t channel = i / inner % factors.size(), o = i / inner / factors.size();
    to[i] = from[(o * channels + (channels == 1 ? 0 : channel)) * inner + i % inner] / factors[channel];
  }
  return result;
}

/// What training says of an activation, whose channels are divided.
void divide(std::optional<ChannelNormal>& normal, std::span<const float> factors) {
  for (std::size_t c = 0; normal && c < factors.size(); ++c) {
    normal->mean[c] /= factors[c];
    normal->deviation[c] /= factors[c];
  }
}

template <class Edit>
void edit_weight(Network& net, const Layer& layer, const Edit& edit) {
  auto& constant = *info_of(net, layer.weight).constant;
  edit(constant.writable<float>());
}

/// A node behind another, with a constant of one value a channel: min(x, value) behind a Clip, which becomes a Relu, or
/// x * value.
struct Insertion {
  NodeId behind = -1;
  std::string op;
  std::vector<float> values;
  std::size_t from_end = 1;
  TensorId tensor = kNoTensor;  ///< what the new node makes
};

/// Room for a node behind each of `places` (rising): ids of later nodes move up.
void insert_nodes(Network& net, const std::vector<NodeId>& places) {
  const auto moved = [&](NodeId id) {
    return id < 0 ? id : id + static_cast<NodeId>(std::ranges::lower_bound(places, id) - places.begin());
  };
  std::vector<Node> nodes(net.nodes.size() + places.size());
  for (std::size_t n = 0; n < net.nodes.size(); ++n)
    nodes[static_cast<std::size_t>(moved(static_cast<NodeId>(n)))] = std::move(net.nodes[n]);
  net.nodes = std::move(nodes);
  for (TensorInfo& tensor : net.tensors) {
    tensor.producer = moved(tensor.producer);
    for (NodeId& reader : tensor.consumers) reader = moved(reader);
  }
  for (Layer& layer : net.layers) layer.node = moved(layer.node);
  for (Site& site : net.sites)
    for (NodeId& product : site.products) product = moved(product);
}

/// Clip(x, 0, c) becomes Relu(x).
void drop_bounds(Network& net, NodeId id) {
  Node& clip = net.nodes[static_cast<std::size_t>(id)];
  for (const std::size_t i : {1U, 2U}) {
    auto& readers = info_of(net, clip.inputs[i]).consumers;
    readers.erase(std::ranges::find(readers, id));
  }
  clip.op = "Relu";
  clip.inputs.resize(1);
}

/// The new node takes the free place behind node `id`, and the name and readers of what that made.
void fill_in(Network& net, NodeId id, const Insertion& insertion) {
  if (insertion.op == "Min") drop_bounds(net, id);
  const Shape shape = net.tensor(insertion.tensor).shape;
  const std::string name = net.tensor(insertion.tensor).name;
  Shape row(shape.size(), 1);
  row[shape.size() - insertion.from_end] = static_cast<std::int64_t>(insertion.values.size());
  const TensorId inner = add_tensor(net, name + "/unscaled", shape, std::nullopt);
  const TensorId constant = add_tensor(net, name + "/by_channel", row, Tensor::of<float>(row, insertion.values));
  Node& maker = net.nodes[static_cast<std::size_t>(id)];
  *std::ranges::find(maker.outputs, insertion.tensor) = inner;
  Node node;
  node.name = maker.name + "/by_channel";
  node.op = insertion.op;
  node.opset = maker.opset;
  node.inputs = {inner, constant};
  node.outputs = {insertion.tensor};
  node.metadata = maker.metadata;
  info_of(net, inner).normal = std::exchange(info_of(net, insertion.tensor).normal, std::nullopt);
  info_of(net, inner).producer = id;
  info_of(net, inner).consumers = info_of(net, constant).consumers = {id + 1};
  info_of(net, insertion.tensor).producer = id + 1;
  net.nodes[static_cast<std::size_t>(id) + 1] = std::move(node);
}

void insert(Network& net, std::vector<Insertion> insertions) {
  std::ranges::sort(insertions, {}, &Insertion::behind);
  std::vector<NodeId> places;
  for (const Insertion& insertion : insertions) places.push_back(insertion.behind);
  assert(std::ranges::adjacent_find(places) == places.end());
  insert_nodes(net, places);
  for (std::size_t i = 0; i < insertions.size(); ++i)
    fill_in(net, insertions[i].behind + static_cast<NodeId>(i), insertions[i]);
}

/// The bounds of a fold's clips, over its factors; or the reciprocals of the factors, where nothing else divides.
void add_insertions(const Network& net, const ChannelFold& fold, std::span<const float> factors,
                    std::vector<Insertion>& insertions) {
  for (const NodeId id : fold.clips) {
    const float high = *scalar_constant(net, net.node(id).inputs[2]);
    Insertion cap{id, "Min", {}, fold.from_end, net.node(id).outputs[0]};
    for (const float s : factors) cap.values.push_back(high / s);
    insertions.push_back(std::move(cap));
  }
  if (!fold.inserted) return;
  Insertion scale{net.tensor(fold.tensor).producer, "Mul", {}, fold.from_end, fold.tensor};
  for (const float s : factors) scale.values.push_back(1 / s);
  insertions.push_back(std::move(scale));
}

RewriteFold description(const Network& net, const ChannelFold& fold, const std::vector<float>& factors) {
  RewriteFold out{net.tensor(fold.tensor).name, {}, {}, {}, fold.to, factors, {}};
  const auto add = [](std::vector<std::string>& names, const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  if (fold.from) {
    add(out.from, net.layer(*fold.from).names.node);
    add(out.constants, net.tensor(net.layer(*fold.from).weight).name);
  }
  for (const ChannelConstant& c : fold.constants) {
    add(out.from, net.node(c.node).name);
    add(out.constants, net.tensor(net.node(c.node).inputs[c.input]).name);
  }
  for (const NodeId id : fold.clips) add(out.caps, net.node(id).name);
  if (fold.inserted) out.inserted = net.node(net.tensor(fold.tensor).producer).name + "/by_channel";
  return out;
}

}  // namespace

void apply_folds(Network& net, std::span<const std::pair<ChannelFold, std::vector<float>>> folds,
                 RewriteRecord& record) {
  std::vector<Insertion> insertions;
  for (const auto& [fold, factors] : folds) {
    assert(factors.size() == fold.channels);
    record.folds.push_back(description(net, fold, factors));
    add_insertions(net, fold, factors, insertions);
    for (const ChannelConstant& c : fold.constants) {
      const TensorId old = net.node(c.node).inputs[c.input];
      replace_constant(net, c.node, c.input, divided(*net.tensor(old).constant, c.from_end, factors));
    }
    if (fold.from) {
      const Layer& layer = net.layer(*fold.from);
      const ChannelGrid grid(net, layer);
      edit_weight(net, layer, [&](std::span<float> w) { grid.divide_outputs(w, factors); });
      divide(info_of(net, layer.output).normal, factors);
    }
    for (const LayerId id : fold.to) {
      const ChannelGrid grid(net, net.layer(id));
      edit_weight(net, net.layer(id), [&](std::span<float> w) { grid.multiply_inputs(w, factors); });
    }
  }
  if (!insertions.empty()) insert(net, std::move(insertions));
}

}  // namespace bitplan
