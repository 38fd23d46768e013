#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "model/import/draft.hpp"

namespace bitplan {

/// Whether this ONNX operator makes, changes or reads a sequence of tensors and Sequences resolves it: SplitToSequence,
/// SequenceConstruct, SequenceEmpty, SequenceInsert, SequenceAt, SequenceLength, ConcatFromSequence.
bool resolves_sequence(std::string_view op);

/// Sequences of tensors while import folds. Exporters write torch.split, chunk, unbind and stack as sequences where
/// they did not know how many parts there are (TorchScript) or did not optimise (dynamo). At import all shapes are
/// known, so each sequence is a list of tensors, and the nodes around it become Split, Concat, Unsqueeze, Squeeze,
/// Identity and Constant. A sequence holds at most 1,024 tensors.
class Sequences {
 public:
  explicit Sequences(Draft& draft) : draft_(draft) {}

  /// The nodes on tensors that do what this node does, in order; the node itself when it has no part in a sequence.
  /// Its inputs must have been inferred, and those that choose elements or sizes known. Throws InputError naming it.
  std::vector<DraftNode> resolve(DraftNode&& made);

  bool is_sequence(TensorId tensor) const { return lists_.contains(tensor); }

 private:
  const std::vector<TensorId>& list_of(const Node& node) const;
  void define(const Node& node, std::vector<TensorId> list);
  void insert(const Node& node);
  std::vector<DraftNode> split(const Node& node);
  std::vector<DraftNode> concat(const Node& node);
  std::vector<DraftNode> element(const Node& node);
  std::vector<DraftNode> length(const Node& node);

  Draft& draft_;
  std::map<TensorId, std::vector<TensorId>> lists_;  ///< by the tensor that stands for the sequence
};

}  // namespace bitplan
