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

/// Rounding again, layers in topological order: each weight is quantized again (layer_quantizer.hpp) on the inputs xq
/// that all layers before it, already quantized again, make of the calibration data. Layers that read the same tensor
/// (q, k and v; gate and up) have the same inputs and are a stage: "true sequential" in GPTQ's own code.
///
///   sequential   error against w . xq:  E xq xq^T alone (Frantar et al. 2023, arXiv:2210.17323)
///   asymmetric   error against w . x, x in the float network, so that layers make up for those before them: cross
///                moments E xq x^T too (Nagel et al. 2020, arXiv:2004.10568, section 3.2)
///
/// Which is better, and whether either is, has to be measured (docs/roundings.md): asymmetric was on the CNNs and on
/// coarse grids of the language model. Layers whose choice needs no data keep their codes, and so do weights that
/// several layers share.
///
/// Cost: one run of the data for all stages (staged_moments.hpp), a second one in float where a choice looks at the
/// float network's inputs too (asymmetric, bias, awq, outliers), second moments of each stage, and the roundings.
/// Deterministic for any number of threads. Throws Interrupted, and InputError as quantize_layer does.
Finish finish(const Executor& executor, ChunkedData& data, const Unfinished& network, const FinishSpec& spec,
              std::span<Executor::WorkspacePtr> workspaces, const std::atomic<bool>* stop = nullptr);

}  // namespace bitplan
