#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/compensation.hpp"
#include "quant/choice.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// What is done to a plan after the search.
struct FinishSpec {
  enum class Rounding : std::uint8_t {
    kept,
    sequential,  ///< codes are chosen again for the inputs that the quantized layers before give
    asymmetric   ///< and so that they give the float network's outputs
  } rounding = Rounding::kept;
  std::optional<BiasPer> bias{};  ///< then each output channel or element gets its mean back (compensation.hpp)
  bool any() const { return rounding != Rounding::kept || bias; }
};
/// "sequential" or "asymmetric", and "bias" or "bias:element". Throws InputError naming them.
FinishSpec finish_named(std::span<const std::string> passes);

/// A finished assignment: what differs from it.
struct Finish {
  std::vector<std::shared_ptr<const QuantizedWeight>> weights;  ///< by LayerId; null: as the choice makes it
  Biases biases;                                                ///< in place of the choices'; empty: as they are
  std::vector<std::string> notes;                               ///< what a user should know of the passes
};

/// A quantized network before it is finished.
struct Unfinished {
  std::vector<std::optional<Affine>> activations;                ///< by SiteId
  std::function<const Choice&(LayerId)> choice;                  ///< of a layer's weight
  std::function<QuantizedWeight(LayerId)> weight;                ///< in its layer's layout; no values: float
  std::vector<std::shared_ptr<const SiteQuantizer>> by_parts{};  ///< as Candidate's
};

/// Rounding again, layers in topological order, in at most kFinishPasses runs of neighbours: the weights of a run are
/// quantized again (layer_quantizer.hpp) on inputs xq that the runs before, already quantized again, make of the
/// calibration data. Inside a run inputs are those of its own layers as they were.
///
///   sequential   error against w . xq:  E xq xq^T alone (Frantar et al. 2023, arXiv:2210.17323)
///   asymmetric   error against w . x, x in the float network, so that layers make up for those before them: cross
///                moments E xq x^T too (Nagel et al. 2020, arXiv:2004.10568, section 3.2)
///
/// Which is better has to be measured: asymmetric was on the CNNs, sequential on the language model
/// (docs/roundings.md). Layers whose choice needs no data keep their codes, and so do weights that several layers
/// share.
///
/// Cost: two runs of the data a pass, each up to the pass's last layer, and the roundings. Deterministic for any number
/// of threads. Throws Interrupted, and InputError as quantize_layer does.
inline constexpr int kFinishPasses = 8;
Finish finish(const Executor& executor, ChunkedData& data, const Unfinished& network, const FinishSpec& spec,
              std::span<Executor::WorkspacePtr> workspaces, const std::atomic<bool>* stop = nullptr);

}  // namespace bitplan
