#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "quant/choice.hpp"

namespace bitplan {

/// What the text or map of one choice says itself; the rest comes from the defaults.
struct ChoiceWords {
  std::string format;  ///< not yet looked up
  std::optional<Granularity> granularity;
  std::optional<bool> symmetric, narrow;
  std::optional<RangeMethod> range;
  std::optional<double> percentile, norm;
  std::optional<int> scale_bits;
  std::optional<bool> gain, refit, awq, tuned;
  std::optional<BiasCorrection> bias;
  std::optional<std::string_view> rounding;  ///< a name of roundings()
  std::optional<double> outliers;
};

/// Reads "int3:g64+affine+minmax" word by word. Throws InputError without the text itself, which the caller knows.
ChoiceWords read_choice_words(std::string_view text);
/// The format that a choice's text begins with, known or not; names may hold a colon ("fp8:e5m2").
std::string_view format_in(std::string_view text);
/// "64": a group of that many elements.
Granularity group_of(std::string_view count);
/// The name as the tables of roundings have it (roundings.hpp, level_roundings.hpp); nothing when neither has it.
std::optional<std::string_view> known_rounding(std::string_view name);
/// All their names, for a message.
std::string known_roundings();
/// Per cent of input channels; throws InputError unless 0 < share <= 50.
double checked_outliers(double share);
/// Null when there is none of this name.
const RangeEntry* find_range_method(std::string_view name);

/// The names of a table, joined for a message.
template <class Entries>
std::string known(const Entries& entries) {
  std::string names;
  for (const auto& entry : entries) names.append(names.empty() ? "" : ", ").append(entry.name);
  return names;
}

}  // namespace bitplan
