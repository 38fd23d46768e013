#include "quant/choice.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <limits>
#include <optional>

#include "core/error.hpp"

namespace bitplan {
namespace {

/// Every number format.
constexpr std::array kFormats{
    FormatEntry{"float", "float32, not quantized", 32}, FormatEntry{"int2", "integers of 2 bits", 2},
    FormatEntry{"int3", "integers of 3 bits", 3},       FormatEntry{"int4", "integers of 4 bits", 4},
    FormatEntry{"int5", "integers of 5 bits", 5},       FormatEntry{"int6", "integers of 6 bits", 6},
    FormatEntry{"int7", "integers of 7 bits", 7},       FormatEntry{"int8", "integers of 8 bits", 8},
};

/// Every range method of weights.
constexpr std::array kRangeMethods{
    RangeEntry{"absmax", "-max |w| to max |w|", RangeMethod::absmax},
    RangeEntry{"minmax", "min w to max w", RangeMethod::minmax},
    RangeEntry{"percentile", "the given per cent of the values, both tails cut alike", RangeMethod::percentile},
    RangeEntry{"mse", "of 100 clip ratios 0.3 to 1.0 the one with the least squared error", RangeMethod::mse},
};

constexpr int kMaxGroup = 1 << 20;

/// What the text or map of one choice says itself; the rest comes from the defaults.
struct Words {
  std::string format;
  std::optional<Granularity> granularity;
  std::optional<bool> symmetric, narrow;
  std::optional<RangeMethod> range;
  std::optional<double> percentile;
};

template <class Entries>
std::string known(const Entries& entries) {
  std::string names;
  for (const auto& entry : entries) names.append(names.empty() ? "" : ", ").append(entry.name);
  return names;
}

template <class Entries>
auto find(const Entries& entries, std::string_view name) {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.name == name; });
  return found == entries.end() ? nullptr : &*found;
}

template <class T>
std::optional<T> parse_whole(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <class T>
void say_once(std::optional<T>& field, T value, const char* what) {
  if (field) throw InputError(std::string(what) + " is said twice");
  field = value;
}

Granularity group_of(std::string_view count) {
  const auto group = parse_whole<int>(count);
  if (!group || *group < 1 || *group > kMaxGroup)
    throw InputError("a group has 1 to " + std::to_string(kMaxGroup) + " elements, not '" + std::string(count) + "'");
  return {Granularity::Kind::group, *group};
}

double checked_percentile(double percentile) {
  if (!(percentile >= 50 && percentile <= 100)) throw InputError("the percentile must be 50 to 100");
  return percentile;
}

void read_granularity_word(std::string_view word, Words& words) {
  Granularity granularity;
  if (word == "tensor")
    granularity.kind = Granularity::Kind::tensor;
  else if (word.starts_with('g'))
    granularity = group_of(word.substr(1));
  else if (word != "channel")
    throw InputError("'" + std::string(word) + "' is not a granularity; known: tensor, channel, gN for groups of N");
  say_once(words.granularity, granularity, "granularity");
}

void read_modifier(std::string_view word, Words& words) {
  constexpr std::string_view kPercentile = "percentile";
  if (word == "affine" || word == "symmetric")
    return say_once(words.symmetric, word == "symmetric", "affine or symmetric");
  if (word == "narrow") return say_once(words.narrow, true, "narrow");
  if (const auto* entry = find(kRangeMethods, word)) return say_once(words.range, entry->method, "range");
  if (word.starts_with(kPercentile)) {
    const auto percentile = parse_whole<double>(word.substr(kPercentile.size()));
    if (!percentile) throw InputError("'" + std::string(word) + "' has no number of per cent, as in percentile99.9");
    words.percentile = checked_percentile(*percentile);
    return say_once(words.range, RangeMethod::percentile, "range");
  }
  throw InputError("'" + std::string(word) + "' is not a modifier; known: affine, symmetric, narrow, " +
                   known(kRangeMethods));
}

Words read_words(std::string_view text) {
  Words words;
  auto end = text.find_first_of(":+");
  words.format = text.substr(0, end);
  while (end != std::string_view::npos) {
    const char kind = text[end];
    const auto begin = end + 1;
    end = text.find_first_of(":+", begin);
    const auto word = text.substr(begin, end == std::string_view::npos ? end : end - begin);
    if (kind == ':')
      read_granularity_word(word, words);
    else
      read_modifier(word, words);
  }
  return words;
}

std::string shortest(double value) {
  std::array<char, 32> text{};
  const auto result = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), result.ptr};
}

std::string granularity_label(const Granularity& granularity) {
  if (granularity.kind == Granularity::Kind::tensor) return ":tensor";
  if (granularity.kind == Granularity::Kind::channel) return ":channel";
  return std::string(":g").append(std::to_string(granularity.group));
}

std::string range_label(const Choice& choice, const ChoiceDefaults& kind) {
  const bool percentile = choice.range == RangeMethod::percentile;
  if (choice.range == kind.range && (!percentile || choice.percentile == kind.percentile)) return {};
  const auto entry =
      std::find_if(kRangeMethods.begin(), kRangeMethods.end(), [&](const auto& e) { return e.method == choice.range; });
  std::string label("+");
  label.append(entry->name);
  if (percentile && choice.percentile != kind.percentile) label.append(shortest(choice.percentile));
  return label;
}

std::string label_of(const Choice& choice, std::string_view format, const ChoiceDefaults& kind) {
  std::string label(format);
  if (!(choice.granularity == kind.granularity)) label += granularity_label(choice.granularity);
  if (choice.symmetric != kind.symmetric) label += choice.symmetric ? "+symmetric" : "+affine";
  if (choice.narrow) label += "+narrow";
  return label += range_label(choice, kind);
}

/// Rejects words which would have no effect.
void check(const Words& words, const Choice& choice, bool observed) {
  if (choice.narrow && !choice.symmetric) throw InputError("narrow needs symmetric");
  if (words.percentile && choice.range != RangeMethod::percentile)
    throw InputError("percentile needs range percentile");
  if (!observed) return;
  if (choice.granularity.kind != Granularity::Kind::tensor) throw InputError("activations have granularity tensor");
  if (words.range) throw InputError("the observer finds the range of activations");
}

Choice make_choice(const Words& words, const ChoiceDefaults& defaults, const ChoiceDefaults& kind) {
  const FormatEntry& format = *find(kFormats, words.format);
  Choice choice;
  choice.label = format.name;
  choice.bits = format.bits;
  choice.is_float = format.name == "float";
  if (choice.is_float) {
    if (words.granularity || words.symmetric || words.narrow || words.range || words.percentile)
      throw InputError("float has no granularity and no modifiers");
    return choice;
  }
  choice.granularity = words.granularity.value_or(defaults.granularity);
  choice.symmetric = words.symmetric.value_or(defaults.symmetric);
  // An affine choice among symmetric narrow ones is meant as it stands: narrow says nothing about it.
  choice.narrow = words.narrow.value_or(defaults.narrow && words.symmetric.value_or(true));
  choice.range = kind.observed ? kind.range : words.range.value_or(defaults.range);
  // One form for each choice: a percentile that is not used is the default one.
  if (choice.range == RangeMethod::percentile) choice.percentile = words.percentile.value_or(defaults.percentile);
  check(words, choice, kind.observed);
  choice.label = label_of(choice, format.name, kind);
  return choice;
}

std::string is_not_a_choice(std::string_view text) { return "'" + std::string(text) + "' is not a choice"; }

Words read_map(const Yaml& node) {
  node.only({"format", "granularity", "range", "percentile", "symmetric", "narrow"});
  const Yaml format = node.at("format");
  Words words;
  words.format = format.text();
  if (!find(kFormats, words.format)) format.fail("'" + words.format + "' is not a format; known: " + known(kFormats));
  if (const auto value = node.find("granularity")) words.granularity = read_granularity(*value);
  if (const auto value = node.find("range")) words.range = read_range_method(*value);
  if (const auto value = node.find("percentile")) words.percentile = value->number_in(50, 100);
  if (const auto value = node.find("symmetric")) words.symmetric = value->boolean();
  if (const auto value = node.find("narrow")) words.narrow = value->boolean();
  return words;
}

}  // namespace

std::span<const FormatEntry> formats() { return kFormats; }
std::span<const RangeEntry> range_methods() { return kRangeMethods; }

ChoiceDefaults ChoiceDefaults::weights() { return {}; }

ChoiceDefaults ChoiceDefaults::activations() {
  ChoiceDefaults defaults;
  defaults.symmetric = false;
  defaults.granularity.kind = Granularity::Kind::tensor;
  defaults.observed = true;
  return defaults;
}

Granularity read_granularity(const Yaml& node) {
  const std::string text = node.text();
  constexpr std::string_view kGroup = "group:";
  if (text == "tensor") return {Granularity::Kind::tensor, 0};
  if (text == "channel") return {Granularity::Kind::channel, 0};
  if (!text.starts_with(kGroup)) node.fail("'" + text + "' is not a granularity; known: tensor, channel, group:N");
  try {
    return group_of(std::string_view(text).substr(kGroup.size()));
  } catch (const InputError& error) {
    node.fail(error.what());
  }
}

RangeMethod read_range_method(const Yaml& node) {
  const std::string text = node.text();
  const auto* entry = find(kRangeMethods, text);
  if (!entry) node.fail("'" + text + "' is not a range method; known: " + known(kRangeMethods));
  return entry->method;
}

ChoiceDefaults read_choice_defaults(const Yaml& map, const ChoiceDefaults& defaults) {
  ChoiceDefaults read = defaults;
  if (const auto value = map.find("granularity")) {
    read.granularity = read_granularity(*value);
    if (read.observed && read.granularity.kind != Granularity::Kind::tensor)
      value->fail("activations have granularity tensor");
  }
  if (const auto value = map.find("range")) {
    if (read.observed) value->fail("the observer finds the range of activations");
    read.range = read_range_method(*value);
  }
  if (const auto value = map.find("percentile")) {
    if (read.observed) value->fail("the observer finds the range of activations");
    read.percentile = value->number_in(50, 100);
  }
  if (const auto value = map.find("symmetric")) read.symmetric = value->boolean();
  if (const auto value = map.find("narrow")) {
    read.narrow = value->boolean();
    if (read.narrow && !read.symmetric) value->fail("narrow needs symmetric");
  }
  return read;
}

Choice parse_choice(std::string_view text, const ChoiceDefaults& defaults, const ChoiceDefaults& defaults_of_kind) {
  if (!find(kFormats, text.substr(0, text.find_first_of(":+"))))
    throw InputError(is_not_a_choice(text) + "; known: " + known(kFormats));
  try {
    return make_choice(read_words(text), defaults, defaults_of_kind);
  } catch (const InputError& error) {
    throw InputError(is_not_a_choice(text) + ": " + error.what());
  }
}

Choice read_choice(const Yaml& node, const ChoiceDefaults& defaults, const ChoiceDefaults& defaults_of_kind) {
  const bool map = node.is_map();
  const Words words = map ? read_map(node) : Words{};
  const std::string text = map ? std::string() : node.text();
  try {
    return map ? make_choice(words, defaults, defaults_of_kind) : parse_choice(text, defaults, defaults_of_kind);
  } catch (const InputError& error) {
    node.fail(error.what());
  }
}

ChoiceTable::ChoiceTable() { add(parse_choice("float", {}, {})); }

ChoiceId ChoiceTable::add(const Choice& choice) {
  const auto found = std::find(rows_.begin(), rows_.end(), choice);
  if (found != rows_.end()) return static_cast<ChoiceId>(found - rows_.begin());
  assert(rows_.size() < static_cast<std::size_t>(std::numeric_limits<ChoiceId>::max()));
  rows_.push_back(choice);
  return static_cast<ChoiceId>(rows_.size() - 1);
}

}  // namespace bitplan
