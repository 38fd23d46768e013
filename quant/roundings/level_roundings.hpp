#pragma once

#include <atomic>
#include <span>
#include <string_view>

#include "quant/moments/input_moments.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// A way to choose codes (and sometimes levels) for formats other than integers; roundings.hpp has those of integers.
/// All need second moments of the layer's inputs, and none leaves a row with a larger output error than nearest
/// rounding.
struct LevelRounding {
  std::string_view name, summary;
  bool (*takes)(const FormatEntry& format);
  /// share: of the mean of G's diagonal, added to G for the method's use. Throws Interrupted when *stop becomes true.
  QuantizedWeight (*round)(std::span<const float> weights, const WeightView& view, const Choice& choice,
                           const LayerMoments& moments, std::span<const float> importance, double share, int threads,
                           const std::atomic<bool>* stop);
  bool has_own_levels = false;  ///< its codes are not those of the format's nearest rounding
};

/// Every rounding of formats other than integers.
std::span<const LevelRounding> level_roundings();
/// Null when there is none of this name.
const LevelRounding* level_rounding_named(std::string_view name);

/// All that a choice `binary+billm` stores: its blocks are the choice's groups, 128 columns where it has none.
std::int64_t billm_choice_bits(const WeightView& view, const Choice& choice);

}  // namespace bitplan
