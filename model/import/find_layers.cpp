#include <algorithm>

#include "model/import/draft.hpp"
#include "model/import/module_name.hpp"
#include "model/macs.hpp"

namespace bitplan {
namespace {

/// Which inputs of a node are a layer's data and weight, and what the weight's axes mean.
struct LayerForm {
  std::size_t input = 0, weight = 1;
  bool has_bias = false;
  int channel_axis = 0;
};

bool is_float_matrix(const TensorInfo& t) { return t.dtype == DType::f32 && t.shape.size() == 2; }

/// Fills `form` when the node is a layer: it has a constant weight and (but for an embedding's indices) float data.
bool layer_form(const Draft& draft, const Node& node, LayerForm& form) {
  const auto input = [&](std::size_t i) -> const TensorInfo& { return draft.tensor(node.inputs[i]); };
  if (node.op == "Conv")
    form = {0, 1, true, 0};
  else if (node.op == "ConvTranspose")
    form = {0, 1, true, 1};
  else if (node.op == "Gemm")
    form = {0, 1, true, node.integer("transB", 0) != 0 ? 0 : 1};
  else if (node.op == "MatMul" && is_float_matrix(input(1)))
    form = {0, 1, false, 1};
  else if (node.op == "Gather" && is_float_matrix(input(0)) && node.integer("axis", 0) % 2 == 0)
    form = {1, 0, false, 0};
  else
    return false;
  return input(form.weight).constant.has_value() && !input(form.input).constant.has_value();
}

/// A MatMul with a constant of shape [1, ..., 1, k, n] computes the same with [k, n] when its data have no fewer
/// dimensions.
bool is_one_matrix(const Draft& draft, const Node& node, TensorId weight) {
  if (node.op != "MatMul" || node.inputs[1] != weight || node.inputs[0] == weight) return false;
  const Shape &x = draft.tensor(node.inputs[0]).shape, &w = draft.tensor(weight).shape;
  return w.size() > 2 && x.size() >= w.size() && std::all_of(w.begin(), w.end() - 2, [](auto d) { return d == 1; });
}

/// Gives such constants their matrix shape where every reader agrees. Stacks of several matrices stay as they are, in
/// float, and a note says so.
void flatten_weights(Draft& draft) {
  Network& network = draft.network;
  for (const Node& node : network.nodes) {
    if (node.op != "MatMul") continue;
    const TensorId weight = node.inputs[1];
    TensorInfo& info = draft.tensor(weight);
    if (!info.constant || info.dtype != DType::f32 || info.shape.size() < 3) continue;
    const bool one = std::all_of(info.consumers.begin(), info.consumers.end(),
                                 [&](NodeId reader) { return is_one_matrix(draft, network.node(reader), weight); });
    if (!one) {
      network.notes.push_back("the constant " + to_string(info.shape) + " of MatMul '" + node.name +
                              "' is a stack of matrices: no layer, it stays float");
      continue;
    }
    info.shape = {info.shape.end() - 2, info.shape.end()};
    info.constant = info.constant->reshaped(info.shape);
  }
}

void name_module(const Draft& draft, const Layer& layer, LayerNames& names) {
  const Node& node = draft.network.node(layer.node);
  const auto take = [&](std::string module, const char* source) {
    if (names.module.empty() && !module.empty()) names.module = std::move(module), names.module_source = source;
  };
  take(module_of_weight(names.weight), "initializer");
  for (const auto& origin : draft.origins[static_cast<std::size_t>(layer.weight)])
    take(module_of_weight(origin), "initializer");
  if (const auto scopes = node.metadata.find("pkg.torch.onnx.name_scopes"); scopes != node.metadata.end())
    take(module_of_scopes(scopes->second), "metadata");
  take(module_of_node(node.name), "node-scope");
}

Layer make_layer(const Draft& draft, NodeId id, const LayerForm& form) {
  const Node& node = draft.network.node(id);
  const DraftNode& written = draft.written[static_cast<std::size_t>(id)];
  Layer layer;
  layer.op = node.op;
  layer.node = id;
  layer.input = node.inputs[form.input];
  layer.weight = node.inputs[form.weight];
  layer.output = node.outputs[0];
  if (form.has_bias && node.inputs.size() > 2) layer.bias = node.inputs[2];
  layer.weight_shape = draft.tensor(layer.weight).shape;
  layer.output_shape = draft.tensor(layer.output).shape;
  layer.channel_axis = form.channel_axis;
  layer.groups = node.op.starts_with("Conv") ? node.integer("group", 1) : 1;
  layer.weights = element_count(layer.weight_shape);
  const double macs = multiply_accumulates(node, draft.tensor(node.inputs[0]).shape, draft.tensor(node.inputs[1]).shape,
                                           layer.output_shape);
  layer.macs = static_cast<std::int64_t>(macs) / draft.network.batch;
  layer.folded_batch_norm = draft.batch_norm_folded[static_cast<std::size_t>(layer.weight)];
  layer.names.node = node.name;
  layer.names.weight = written.inputs[form.weight];
  layer.names.input = written.inputs[form.input];
  layer.names.output = written.outputs[0];
  name_module(draft, layer, layer.names);
  return layer;
}

}  // namespace

void find_layers(Draft& draft) {
  Network& network = draft.network;
  flatten_weights(draft);
  for (std::size_t n = 0; n < network.nodes.size(); ++n) {
    LayerForm form;
    if (!layer_form(draft, network.nodes[n], form)) continue;
    network.layers.push_back(make_layer(draft, static_cast<NodeId>(n), form));
    network.layers.back().id = static_cast<LayerId>(network.layers.size() - 1);
  }
}

}  // namespace bitplan
