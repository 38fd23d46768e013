#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/tensor.hpp"

namespace bitplan {

using TensorId = int;  ///< index into Network::tensors; kNoTensor for an optional input that is absent
using NodeId = int;    ///< index into Network::nodes
using LayerId = int;   ///< index into Network::layers
using SiteId = int;    ///< index into Network::sites
inline constexpr int kNoTensor = -1;

/// Attribute of an ONNX node.
using Attribute = std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>, std::vector<float>,
                               std::vector<std::string>, Tensor>;

/// One operator of the graph. Its opset version decides the meaning of its attributes and inputs.
struct Node {
  std::string name;    ///< ONNX node name; made unique when the file has none ("Conv_12")
  std::string op;      ///< "Conv"
  std::string domain;  ///< "" is the ONNX domain
  int opset = 0;       ///< version of its domain that the model imports
  std::vector<TensorId> inputs, outputs;
  std::map<std::string, Attribute> attributes;
  std::map<std::string, std::string> metadata;  ///< metadata_props (dynamo exporter), empty otherwise

  // Attribute access with the ONNX default; throws InputError naming node and attribute on another type.
  std::int64_t integer(const std::string& key, std::int64_t fallback) const;
  float number(const std::string& key, float fallback) const;
  std::string text(const std::string& key, const std::string& fallback) const;
  std::vector<std::int64_t> integers(const std::string& key, const std::vector<std::int64_t>& fallback) const;
  bool has(const std::string& key) const { return attributes.contains(key); }
};

/// What training says of an activation's channels: the mean and deviation that a batch normalisation gave them.
struct ChannelNormal {
  std::vector<float> mean, deviation;  ///< by channel (axis 1)
};

/// One tensor of the graph: an input, a constant or a node's output. Shapes are static: the batch and
/// all other free dimensions were bound at import.
struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::optional<Tensor> constant;  ///< initializers and folded values
  NodeId producer = -1;            ///< -1: graph input or constant
  std::vector<NodeId> consumers;   ///< a node once for each of its inputs that reads this
  /// The output of a batch normalisation that import folded into the layer before it.
  std::optional<ChannelNormal> normal = {};
};

/// Where a layer is found in the worlds of other tools (DESIGN §7.1); empty = not known.
struct LayerNames {
  std::string node, weight, input, output;  ///< ONNX, as in the file before folding
  std::string module;                       ///< torch module path
  std::string module_source;                ///< how it was found: "initializer", "metadata", "node-scope", ""
  std::string gguf;
};

/// An operator with constant weights: Conv, ConvTranspose, Gemm, MatMul with a constant, Gather from a constant.
struct Layer {
  LayerId id = 0;
  std::string op;
  NodeId node = 0;
  TensorId weight = kNoTensor, bias = kNoTensor, input = kNoTensor, output = kNoTensor;
  LayerNames names;
  Shape weight_shape, output_shape;  ///< output_shape with the bound batch
  int channel_axis = 0;              ///< axis of the weight that counts output channels
  std::int64_t groups = 1;
  std::int64_t weights = 0;        ///< elements of the weight
  std::int64_t macs = 0;           ///< multiply-accumulates for one sample
  bool folded_batch_norm = false;  ///< weight and bias differ from the file's
  bool weight_transposed = false;  ///< the weight is a transposed copy of its site's tensor (tied embedding)
};

/// One tensor that can be quantized. Sites are numbered weights first, in the order of their first layer (site i is the
/// weight of layer i unless layers share a tensor: always go through Network::weight_site), then activations in
/// topological order.
/// A weight tensor that several layers read is one site: it is quantized once, as its first layer sees it, and stored
/// once. A language model's head that is the embedding (the same tensor, an equal copy, or its transpose) is the
/// embedding's site: quantized along the embedding's rows, which are the head's output channels.
struct Site {
  enum class Kind { weight, activation };
  Kind kind = Kind::weight;
  SiteId id = 0;
  TensorId tensor = kNoTensor;
  std::vector<LayerId> layers;  ///< weight: its layer (more when layers share one tensor); activation: all that read it
  std::int64_t elements = 0;    ///< weight: all; activation: for one sample
  std::string name;             ///< unique: "<module or node>.weight" / "<tensor>"
  /// Activation: the products of two computed tensors (MatMul: q k', p v of attention) that read it quantized, once.
  /// Empty unless ImportOptions::attention_sites.
  std::vector<NodeId> products = {};
};

struct UnsupportedNode {
  std::string node, op, domain;
  int opset = 0;
  std::string reason;
};

/// A trained network with static shapes. Immutable once imported. Nodes are in topological order.
struct Network {
  std::string file, sha256, producer;
  int opset = 0;
  int ir_version = 0;
  std::int64_t batch = 1;  ///< samples that one run of the graph takes (leading dimension of the inputs)
  std::vector<Node> nodes;
  std::vector<TensorInfo> tensors;
  std::vector<TensorId> inputs, outputs;
  std::vector<Layer> layers;
  std::vector<Site> sites;
  std::vector<SiteId> weight_site;        ///< by LayerId
  std::vector<SiteId> input_site;         ///< by LayerId; -1 for embeddings (weights only) and constant inputs
  std::vector<std::vector<SiteId>> ties;  ///< found in the graph: sites that must take the same choice
  std::vector<std::string> notes;         ///< what import changed: "folded 12 BatchNormalization", …

  /// Sites 0 … weight_sites() - 1 are weights; fewer than layers when layers share a tensor.
  std::size_t weight_sites() const;
  const Site& site(SiteId id) const { return sites[static_cast<std::size_t>(id)]; }
  const Layer& layer(LayerId id) const { return layers[static_cast<std::size_t>(id)]; }
  const TensorInfo& tensor(TensorId id) const { return tensors[static_cast<std::size_t>(id)]; }
  const Node& node(NodeId id) const { return nodes[static_cast<std::size_t>(id)]; }
};

}  // namespace bitplan
