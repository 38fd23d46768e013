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
  std::optional<bool> gain;
};

/// Reads "int3:g64+affine+minmax" word by word. Throws InputError without the text itself, which the caller knows.
ChoiceWords read_choice_words(std::string_view text);
/// The format that a choice's text begins with, known or not; names may hold a colon ("fp8:e5m2").
std::string_view format_in(std::string_view text);
/// "64": a group of that many elements.
Granularity group_of(std::string_view count);
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
