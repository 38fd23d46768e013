#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "model/network.hpp"

namespace bitplan {

/// What the user says of a model's inputs.
struct ImportOptions {
  /// Shape of an input; -1 is the free batch dimension (N in the YAML). Inputs that are not named keep the file's
  /// shape, where a symbolic first dimension is the batch and any other symbolic one is an error that says how to bind
  /// it. A name that the model has not is an error.
  std::map<std::string, Shape> shapes;
  std::int64_t batch = 1;  ///< what -1 and the symbolic batch become; a model whose batch is fixed keeps its own
  /// What a free second dimension of an integer input becomes (the sequence of token ids); 0: it must be bound above.
  std::int64_t sequence = 0;
  /// Both operands of each product of two computed tensors (MatMul: q k' and p v of attention) become activation sites
  /// (Site::products).
  bool attention_sites = false;
};

/// The model has operators we lack: what() lists every one with node, domain and opset.
struct UnsupportedModel : InputError {
  UnsupportedModel(const std::string& message, std::vector<UnsupportedNode> which)
      : InputError(message), nodes(std::move(which)) {}
  std::vector<UnsupportedNode> nodes;
};

/// Reads an ONNX file (opsets 11–23) into a Network with static shapes: constants folded, Conv + BatchNormalization
/// folded (W' = W g / sqrt(v + e), b' = (b - m) g / sqrt(v + e) + beta per output channel, when the Conv's output has
/// no other reader), Identity, Dropout and Cast-to-same dropped, layers, sites and ties found, names resolved.
/// Half-precision tensors become float32. What was changed is listed in Network::notes. Weights are views of the file,
/// which stays mapped or in memory as long as the network. External data must lie inside the model's folder.
/// Throws InputError (missing, truncated or damaged file, wrong shapes), UnsupportedModel.
Network import_onnx(const std::filesystem::path& file, const ImportOptions& options = {});

}  // namespace bitplan
