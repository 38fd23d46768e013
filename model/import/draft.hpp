#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/import_onnx.hpp"
#include "model/network.hpp"

// The steps of import_onnx, each a function on the draft, in the order in which they run.
namespace bitplan {

struct ParsedModel;

/// A node while import works on it.
struct DraftNode {
  Node node;
  std::vector<std::string> inputs, outputs;  ///< tensor names as in the file
  bool dead = false;                         ///< folded, or read by nobody
};

/// One dimension of an input as the file declares it: a size, or a symbol ("" when it has no name either).
struct DeclaredDimension {
  std::int64_t size = -1;
  std::string symbol;
};

struct DeclaredInput {
  std::string name;
  TensorId tensor = kNoTensor;
  bool has_shape = false;
  std::vector<DeclaredDimension> shape;
};

/// The model between file and Network.
struct Draft {
  std::filesystem::path file;
  Network network;  ///< its nodes stay empty until drop_dead
  std::vector<DraftNode> nodes;
  std::vector<DeclaredInput> inputs;
  std::map<std::string, TensorId> ids;            ///< tensors by name
  std::vector<std::vector<std::string>> origins;  ///< by TensorId: names that a constant had before copies and views
  std::vector<DraftNode> written;                 ///< by final NodeId: names in the file (set by drop_dead)
  std::vector<bool> batch_norm_folded;            ///< by TensorId: a weight that differs from the file's

  TensorInfo& tensor(TensorId id) { return network.tensors[static_cast<std::size_t>(id)]; }
  const TensorInfo& tensor(TensorId id) const { return network.tensors[static_cast<std::size_t>(id)]; }
  /// A new tensor of this name (which must be new).
  TensorId add_tensor(const std::string& name);
  /// The tensor of this name, made when it is not there.
  TensorId find_or_add(const std::string& name);
  bool is_output(TensorId id) const;
};

/// Nodes, constants, declared inputs and outputs. Throws UnsupportedModel with all operators that we lack.
void read_graph(Draft& draft, const ParsedModel& parsed);
/// Static shapes of the inputs.
void bind_shapes(Draft& draft, const ImportOptions& options);
/// Topological order. Refuses cycles and tensors that nothing makes.
void sort_nodes(Draft& draft);
/// Shapes and types of all tensors; folds what is known, drops Identity, Dropout and Cast to the same type.
void infer_and_fold(Draft& draft);
/// Conv, ConvTranspose, Gemm + BatchNormalization.
void fold_batch_norm(Draft& draft);
/// Moves the living nodes and tensors into the network, numbered anew, and links producers and consumers.
void drop_dead(Draft& draft);
/// Layers, then sites, then ties.
void find_layers(Draft& draft);
void find_sites(Network& network, bool attention);
void find_ties(Network& network);

/// The embedding whose matrix a linear layer uses from a tensor of its own: an equal copy, or transposed.
struct TiedEmbedding {
  LayerId embedding = 0;
  bool transposed = false;
};
/// By the linear layer. Matrices are compared element by element, those of different sizes not at all.
std::map<LayerId, TiedEmbedding> tied_embeddings(const Network& network);
/// Adds a note for each weight that several layers use.
void note_shared_weights(Network& network);

}  // namespace bitplan
