#include "quant/roundings/level_roundings.hpp"

#include <algorithm>
#include <array>

#include "quant/roundings/billm_layer.hpp"
#include "quant/roundings/gptq_levels.hpp"
#include "quant/roundings/nupes_levels.hpp"
#include "quant/roundings/trained_levels.hpp"

namespace bitplan {
namespace {

using enum FormatFamily;

bool takes_gptq(const FormatEntry& format) {
  return format.family != floating && format.family != integer && format.family != binary_stochastic;
}
bool takes_training(const FormatEntry& format) {
  return format.family == ternary || format.family == ternary_two || format.family == binary ||
         format.family == codebook;
}
bool takes_nupes(const FormatEntry& format) { return format.family == power; }
bool takes_billm(const FormatEntry& format) { return format.family == binary; }

template <bool by_activation>
QuantizedWeight gptq(std::span<const float> weights, const WeightView& view, const Choice& choice,
                     const LayerMoments& moments, std::span<const float> importance, double share, int threads,
                     const std::atomic<bool>* stop) {
  return gptq_levels(weights, view, choice, moments, importance, {std::max(share, 0.01), by_activation, threads, stop});
}

QuantizedWeight trained(std::span<const float> weights, const WeightView& view, const Choice& choice,
                        const LayerMoments& moments, std::span<const float> importance, double share, int threads,
                        const std::atomic<bool>* stop) {
  TrainedLevelsSettings settings;
  settings.shrink = share;
  settings.threads = threads;
  settings.stop = stop;
  return train_levels(weights, view, choice, moments, importance, settings);
}

QuantizedWeight nupes(std::span<const float> weights, const WeightView& view, const Choice& choice,
                      const LayerMoments& moments, std::span<const float>, double share, int threads,
                      const std::atomic<bool>* stop) {
  return nupes_levels(weights, view, choice, moments, share, threads, stop);
}

BillmSettings billm_settings(const Choice& choice) {
  BillmSettings settings;
  if (choice.granularity.kind == Granularity::Kind::group) settings.block = choice.granularity.group;
  return settings;
}

QuantizedWeight billm(std::span<const float> weights, const WeightView& view, const Choice& choice,
                      const LayerMoments& moments, std::span<const float> importance, double share, int threads,
                      const std::atomic<bool>* stop) {
  BillmSettings settings = billm_settings(choice);
  settings.damping = std::max(share, settings.damping);
  settings.threads = threads;
  settings.stop = stop;
  const std::vector<float> one_bit = quantize_weight(weights, view, choice, importance).values;
  BillmWeight made = quantize_billm(weights, view, moments, settings, one_bit);
  made.weight.salient = std::move(made.salient);
  return std::move(made.weight);
}

/// A new one is a new file and a new line here.
constexpr std::array kLevelRoundings{
    LevelRounding{"gptq", "column by column, errors made up for by later columns", takes_gptq, gptq<false>},
    LevelRounding{"gptq:actorder", "gptq, columns with large inputs first", takes_gptq, gptq<true>},
    LevelRounding{"trained", "codes and levels in turn, by output error (TTQ)", takes_training, trained},
    LevelRounding{"nupes", "an exponent by output error, then each code the best given all others", takes_nupes, nupes},
    LevelRounding{"billm", "a second bit for salient columns, two scales for the others", takes_billm, billm, true},
};

}  // namespace

std::span<const LevelRounding> level_roundings() { return kLevelRoundings; }

const LevelRounding* level_rounding_named(std::string_view name) {
  const auto found = std::ranges::find(kLevelRoundings, name, &LevelRounding::name);
  return found == kLevelRoundings.end() ? nullptr : &*found;
}

std::int64_t billm_choice_bits(const WeightView& view, const Choice& choice) {
  return billm_stored_bits(view, view.groups, billm_settings(choice));
}

}  // namespace bitplan
