#include "eval/rewrites/rewrite_fold.hpp"

#include <algorithm>

#include "eval/executor/graph_patterns.hpp"
#include "eval/rewrites/channel_grid.hpp"

namespace bitplan {
namespace {

constexpr int kLongestWay = 64;  ///< nodes between an activation and what absorbs

bool is_output(const Network& net, TensorId tensor) {
  return std::ranges::find(net.outputs, tensor) != net.outputs.end();
}

const Layer* layer_of(const Network& net, NodeId node) {
  const auto found = std::ranges::find(net.layers, node, &Layer::node);
  return found == net.layers.end() ? nullptr : &*found;
}

/// Nobody else uses the weight.
bool owns_weight(const Network& net, const Layer& layer) {
  const TensorInfo& weight = net.tensor(layer.weight);
  return weight.dtype == DType::f32 && weight.consumers.size() == 1 && !is_output(net, layer.weight) &&
         net.site(net.weight_site[static_cast<std::size_t>(layer.id)]).layers.size() == 1;
}

/// Which dimension of a layer's data are channels; nothing: the layer has none (embedding) or takes them transposed.
std::optional<std::size_t> channel_dimension(const Network& net, const Layer& layer, const Shape& data) {
  if (data.size() < 2) return std::nullopt;
  if (layer.op.starts_with("Conv")) return 1;
  if (layer.op == "MatMul") return data.size() - 1;
  if (layer.op == "Gemm" && net.node(layer.node).integer("transA", 0) == 0) return 1;
  return std::nullopt;
}

bool is_constant(const Network& net, TensorId tensor) {
  return tensor != kNoTensor && net.tensor(tensor).constant.has_value() && net.tensor(tensor).dtype == DType::f32;
}

class Search {
 public:
  Search(const Network& net, TensorId tensor, FoldInto into) : net_(net), into_(into) { fold_.tensor = tensor; }

  FoldSearch run() {
    if (!take_readers()) return {std::nullopt, why_};
    const Shape& shape = net_.tensor(fold_.tensor).shape;
    fold_.channels = static_cast<std::size_t>(shape[axis_]);
    fold_.from_end = shape.size() - axis_;
    ChannelFold found = fold_;
    if (walk(found, fold_.tensor, 0)) return {found, {}};
    fold_.inserted = into_ == FoldInto::anything && net_.tensor(fold_.tensor).producer >= 0;
    if (fold_.inserted) return {fold_, {}};
    return {std::nullopt, why_};
  }

 private:
  bool refuse(std::string why) {
    why_ = std::move(why);
    return false;
  }

  bool take_readers() {
    const TensorInfo& info = net_.tensor(fold_.tensor);
    if (info.constant || info.dtype != DType::f32) return refuse("no computed float activation");
    if (is_output(net_, fold_.tensor)) return refuse("an output of the network");
    std::optional<std::size_t> axis;
    for (const NodeId reader : info.consumers) {
      const Layer* layer = layer_of(net_, reader);
      const auto dimension = layer ? channel_dimension(net_, *layer, info.shape) : std::nullopt;
      if (!dimension || layer->input != fold_.tensor || (axis && *axis != *dimension))
        return refuse("read by others than layers");
      if (!owns_weight(net_, *layer)) return refuse("a layer that reads it shares its weight (tied embedding)");
      axis = dimension;
      fold_.to.push_back(layer->id);
    }
    if (!axis) return refuse("read by nobody");
    axis_ = *axis;
    return true;
  }

  bool same_shape(TensorId tensor) const { return net_.tensor(tensor).shape == net_.tensor(fold_.tensor).shape; }

  bool walk(ChannelFold& fold, TensorId tensor, int depth) {
    const TensorInfo& info = net_.tensor(tensor);
    if (tensor != fold.tensor && (info.consumers.size() != 1 || is_output(net_, tensor)))
      return refuse("what it is made of has other readers");
    if (info.producer < 0) return refuse("an input of the network");
    if (depth > kLongestWay || !same_shape(tensor)) return refuse("no layer or norm behind which it could be scaled");
    const NodeId id = info.producer;
    const Node& node = net_.node(id);
    if (const Layer* layer = layer_of(net_, id)) return end_in_layer(fold, *layer);
    if (node.op == "Relu" || node.op == "LeakyRelu" || (node.op == "PRelu" && is_constant(net_, node.inputs[1])))
      return walk(fold, node.inputs[0], depth + 1);
    if (node.op == "Clip" && is_relu_n(node)) {
      fold.clips.push_back(id);
      return walk(fold, node.inputs[0], depth + 1);
    }
    if (node.op == "Add" || node.op == "Mul") return through_binary(fold, id, depth);
    if (node.op == "LayerNormalization" || node.op == "RMSNormalization") return end_in_norm(fold, id);
    return refuse("made by " + node.op);
  }

  bool is_relu_n(const Node& node) const {
    if (node.inputs.size() < 3) return false;
    const auto low = scalar_constant(net_, node.inputs[1]), high = scalar_constant(net_, node.inputs[2]);
    return low && high && *low == 0 && *high > 0;
  }

  bool through_binary(ChannelFold& fold, NodeId id, int depth) {
    const Node& node = net_.node(id);
    for (const std::size_t i : {1U, 0U}) {
      if (!is_constant(net_, node.inputs[i])) continue;
      if (node.op == "Add") {
        fold.constants.push_back({id, i, fold_.from_end});
        return walk(fold, node.inputs[1 - i], depth + 1);
      }
      const Shape& shape = net_.tensor(node.inputs[i]).shape;
      const bool by_channel = shape.size() >= fold_.from_end && shape[shape.size() - fold_.from_end] != 1;
      if (into_ == FoldInto::layer || !by_channel) return walk(fold, node.inputs[1 - i], depth + 1);
      fold.constants.push_back({id, i, fold_.from_end});
      return true;
    }
    if (node.op == "Add") return refuse("a sum of computed tensors");
    for (const std::size_t i : {1U, 0U}) {
      ChannelFold attempt = fold;
      if (!walk(attempt, node.inputs[i], depth + 1)) continue;
      fold = std::move(attempt);
      return true;
    }
    return refuse("a product of which no factor can be scaled");
  }

  bool end_in_layer(ChannelFold& fold, const Layer& layer) {
    const auto dimension = channel_dimension(net_, layer, net_.tensor(layer.output).shape);
    if (!dimension || *dimension != axis_) return refuse("made by " + layer.op + " with other channels");
    if (!owns_weight(net_, layer)) return refuse("the layer that makes it shares its weight (tied embedding)");
    const Node& node = net_.node(layer.node);
    if (node.inputs.size() > 2 && node.inputs[2] != kNoTensor) {
      if (!is_constant(net_, node.inputs[2])) return refuse("the layer that makes it has a computed bias");
      fold.constants.push_back({layer.node, 2, 1});
    }
    fold.from = layer.id;
    return true;
  }

  bool end_in_norm(ChannelFold& fold, NodeId id) {
    const Node& node = net_.node(id);
    const auto rank = static_cast<std::int64_t>(net_.tensor(fold.tensor).shape.size());
    const std::int64_t axis = node.integer("axis", -1);
    if (into_ == FoldInto::layer || fold_.from_end != 1 || (axis != -1 && axis != rank - 1))
      return refuse("made by " + node.op + (into_ == FoldInto::layer ? "" : " over other axes"));
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNoTensor) continue;
      if (!is_constant(net_, node.inputs[i])) return refuse("made by " + node.op + " with a computed scale");
      fold.constants.push_back({id, i, 1});
    }
    return node.inputs.size() > 1 || refuse("made by " + node.op + " without a scale");
  }

  const Network& net_;
  const FoldInto into_;
  std::size_t axis_ = 0;
  ChannelFold fold_;
  std::string why_;
};

}  // namespace

FoldSearch find_fold(const Network& network, TensorId tensor, FoldInto into) {
  return Search(network, tensor, into).run();
}

}  // namespace bitplan
