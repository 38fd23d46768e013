#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "eval/rewrites/rewrite.hpp"
#include "model/network.hpp"

namespace bitplan {

/// A constant that is added or multiplied by channel, as an input of a node.
struct ChannelConstant {
  NodeId node = -1;
  std::size_t input = 0;
  std::size_t from_end = 1;  ///< the channels' axis is this one counted from the last (1)
};

/// How to divide an activation by s > 0 a channel, and what reads it: from its readers back to the first node that can
/// absorb 1 / s, through functions with f(x / s) = f(x) / s.
///
///   absorbs    Conv, ConvTranspose, Gemm, MatMul (output channels); LayerNormalization, RMSNormalization (scale and
///              bias); Mul with a constant of one value a channel, as decomposed norms have
///   passes     Relu, LeakyRelu, PRelu, Add and Mul with a constant, Clip from 0 to c (which becomes min(x, c / s)),
///              Mul of two computed tensors by its second operand, else its first
struct ChannelFold {
  TensorId tensor = kNoTensor;
  std::size_t channels = 0;
  std::size_t from_end = 1;                ///< the channels' axis, counted from the last (1)
  std::optional<LayerId> from;             ///< whose output channels are divided; nothing: `constants` alone are
  std::vector<ChannelConstant> constants;  ///< to divide, a layer's bias included
  std::vector<NodeId> clips;
  std::vector<LayerId> to;  ///< whose input channels are multiplied
  bool inserted = false;    ///< nothing absorbs: a Mul by 1 / s is inserted behind what makes the activation
};

enum class FoldInto { layer, layer_or_norm, anything };

/// The fold of an activation, or why there is none. FoldInto::layer passes a constant Mul; FoldInto::anything inserts a
/// Mul where nothing absorbs.
/// Everything on the way has one reader, readers of the activation itself are layers; no weight that several layers
/// share (a tied embedding) is touched.
struct FoldSearch {
  std::optional<ChannelFold> fold;
  std::string refusal;
};
FoldSearch find_fold(const Network& network, TensorId tensor, FoldInto into);

/// Applies folds with their factors s, all found on this network. Appends what was done to `record`.
/// O(weights of the layers).
void apply_folds(Network& network, std::span<const std::pair<ChannelFold, std::vector<float>>> folds,
                 RewriteRecord& record);

}  // namespace bitplan
