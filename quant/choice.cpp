#include "quant/choice.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <limits>
#include <optional>

#include "core/error.hpp"
#include "quant/choice_words.hpp"

namespace bitplan {
namespace {

/// Every range method of weights.
constexpr std::array kRangeMethods{
    RangeEntry{"absmax", "-max |w| to max |w|", RangeMethod::absmax},
    RangeEntry{"minmax", "min w to max w", RangeMethod::minmax},
    RangeEntry{"percentile", "the given per cent of the values, both tails cut alike", RangeMethod::percentile},
    RangeEntry{"mse", "of 100 clip ratios 0.3 to 1.0 the one with the least squared error", RangeMethod::mse},
    RangeEntry{"grid", "of max |w| k / 20, k = 1 to 20, the one with the least squared error (brevitas)",
               RangeMethod::grid},
    RangeEntry{"lp", "of the clip ratios of mse the one with the least |error|^p, as in lp2.4", RangeMethod::lp},
    RangeEntry{"wmse", "of the same the least squared error weighted by the layer's input energy", RangeMethod::wmse},
    RangeEntry{"octav", "the clipping point of Newton's iteration (OCTAV)", RangeMethod::octav},
    RangeEntry{"halfstep", "-max |w| to max |w| over all 2^b - 1 steps (torch)", RangeMethod::halfstep},
    RangeEntry{"noclip", "the least symmetric scale that clips neither end (torchao)", RangeMethod::noclip},
    RangeEntry{"pow2", "the power of two nearest to halfstep's scale (Quark)", RangeMethod::pow2},
    RangeEntry{"pow2_mse", "of that and 2 powers to each side the one with the least squared error (Quark)",
               RangeMethod::pow2_mse},
};

constexpr double kNorm = 2.4;  // unless said
constexpr int kScaleBits = 4;

/// One bit has no positive code when signed; codes of 16 bits are kept signed.
constexpr std::string_view kAffineOnly = "int1", kSymmetricOnly = "int16";
bool has_symmetry(const FormatEntry& format) {
  return format.family == FormatFamily::integer && format.name != kAffineOnly && format.name != kSymmetricOnly;
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

std::string range_label(const Choice& choice, RangeMethod plain, double plain_percentile) {
  const bool percentile = choice.range == RangeMethod::percentile;
  if (choice.range == plain && (!percentile || choice.percentile == plain_percentile) && choice.norm == kNorm)
    return {};
  const auto entry =
      std::find_if(kRangeMethods.begin(), kRangeMethods.end(), [&](const auto& e) { return e.method == choice.range; });
  std::string label("+");
  label.append(entry->name);
  if (percentile && choice.percentile != plain_percentile) label.append(shortest(choice.percentile));
  if (choice.norm != kNorm) label.append(shortest(choice.norm));
  return label;
}

std::string label_of(const Choice& choice, const FormatEntry& format, const ChoiceDefaults& kind) {
  std::string label(format.name);
  const bool own = format.cut != Cut::as_asked;
  if (!(choice.granularity == (own ? format.granularity : kind.granularity)))
    label += granularity_label(choice.granularity);
  if (has_symmetry(format) && choice.symmetric != kind.symmetric) label += choice.symmetric ? "+symmetric" : "+affine";
  if (choice.narrow) label += "+narrow";
  label += range_label(choice, choice.is_integer() ? kind.range : RangeMethod::absmax, kind.percentile);
  if (choice.scale_bits != kScaleBits) label += "+scale" + std::to_string(choice.scale_bits);
  return choice.gain ? label + "+gain" : label;
}

/// The range methods that a format can take.
bool takes(const FormatEntry& format, RangeMethod range) {
  using enum RangeMethod;
  if (format.family == FormatFamily::integer) return true;
  if (format.family == FormatFamily::codebook) return range == wmse || range == absmax;
  if (format.family != FormatFamily::scaled) return range == absmax;
  return range == absmax || range == percentile || range == mse || range == grid || range == lp || range == wmse;
}

bool needs_symmetric(RangeMethod range) {
  using enum RangeMethod;
  return range == octav || range == halfstep || range == noclip || range == pow2 || range == pow2_mse;
}

/// Those whose parts have a scale in float32 of their own.
bool takes_gain(const FormatEntry& format) {
  using enum FormatFamily;
  return format.family == integer || format.family == scaled || format.family == binary || format.family == ternary ||
         format.family == ternary_two;
}

/// Rejects words that the format cannot follow.
void check_format(const ChoiceWords& words, const FormatEntry& format, const Choice& choice) {
  const std::string name(format.name);
  if (words.granularity && format.cut == Cut::fixed)
    throw InputError(name + " has blocks of " + std::to_string(format.granularity.group) + ": no granularity");
  if (format.family != FormatFamily::integer && (words.symmetric || words.narrow))
    throw InputError("affine, symmetric and narrow are for integers");
  if (words.symmetric && !has_symmetry(format) && *words.symmetric != choice.symmetric)
    throw InputError(name + " is " + (choice.symmetric ? "symmetric" : "affine"));
  if (!takes(format, choice.range)) throw InputError(name + " has no such range method");
  if (needs_symmetric(choice.range) && !choice.symmetric) throw InputError("this range method needs symmetric");
  if (words.scale_bits && format.family != FormatFamily::vector) throw InputError("scaleN is for vsint formats");
  if (choice.gain && !takes_gain(format)) throw InputError(name + " has no scale that gain could change");
  if (choice.gain && (choice.range == RangeMethod::pow2 || choice.range == RangeMethod::pow2_mse))
    throw InputError("gain would make the scale no power of two");
}

/// Rejects words which would have no effect.
void check(const ChoiceWords& words, const Choice& choice, bool observed) {
  if (choice.narrow && !choice.symmetric) throw InputError("narrow needs symmetric");
  if (words.percentile && choice.range != RangeMethod::percentile)
    throw InputError("percentile needs range percentile");
  if (words.norm && choice.range != RangeMethod::lp) throw InputError("norm needs range lp");
  if (!observed) return;
  if (!choice.is_integer() || choice.bits < 2 || choice.bits > 8)
    throw InputError("activations are integers of 2 to 8 bits");
  if (choice.granularity.kind != Granularity::Kind::tensor) throw InputError("activations have granularity tensor");
  if (words.range) throw InputError("the observer finds the range of activations");
  if (choice.gain) throw InputError("gain is for weights");
}

Choice make_float(const ChoiceWords& words) {
  if (words.granularity || words.symmetric || words.narrow || words.range || words.percentile || words.norm ||
      words.scale_bits || words.gain)
    throw InputError("float has no granularity and no modifiers");
  Choice choice;
  choice.label = "float";
  return choice;
}

Choice make_choice(const ChoiceWords& words, const ChoiceDefaults& defaults, const ChoiceDefaults& kind) {
  const FormatEntry& format = *find_format(words.format);
  if (format.family == FormatFamily::floating) return make_float(words);
  Choice choice;
  choice.format = format.name;
  choice.family = format.family;
  choice.bits = format.bits;
  choice.is_float = false;
  choice.granularity =
      words.granularity.value_or(format.cut == Cut::as_asked ? defaults.granularity : format.granularity);
  if (has_symmetry(format)) {
    choice.symmetric = words.symmetric.value_or(defaults.symmetric);
    // An affine choice among symmetric narrow ones is meant as it stands: narrow says nothing about it.
    choice.narrow = words.narrow.value_or(defaults.narrow && words.symmetric.value_or(true));
  } else {
    choice.symmetric = format.name != kAffineOnly;
    choice.narrow = words.narrow.value_or(defaults.narrow && choice.is_integer() && choice.symmetric);
  }
  choice.range = words.range.value_or(choice.is_integer() ? defaults.range : RangeMethod::absmax);
  if (kind.observed) choice.range = kind.range;
  // One form for each choice: a percentile that is not used is the default one.
  if (choice.range == RangeMethod::percentile) choice.percentile = words.percentile.value_or(defaults.percentile);
  choice.norm = words.norm.value_or(kNorm);
  choice.scale_bits = words.scale_bits.value_or(kScaleBits);
  choice.gain = words.gain.value_or(false);
  check(words, choice, kind.observed);
  check_format(words, format, choice);
  choice.label = label_of(choice, format, kind);
  return choice;
}

std::string is_not_a_choice(std::string_view text) { return "'" + std::string(text) + "' is not a choice"; }

ChoiceWords read_map(const Yaml& node) {
  node.only({"format", "granularity", "range", "percentile", "norm", "symmetric", "narrow", "scale_bits", "gain"});
  const Yaml format = node.at("format");
  ChoiceWords words;
  words.format = format.text();
  if (!find_format(words.format)) format.fail("'" + words.format + "' is not a format; known: " + known(formats()));
  if (const auto value = node.find("granularity")) words.granularity = read_granularity(*value);
  if (const auto value = node.find("range")) words.range = read_range_method(*value);
  if (const auto value = node.find("percentile")) words.percentile = value->number_in(50, 100);
  if (const auto value = node.find("norm")) words.norm = value->number_in(0.5, 8);
  if (const auto value = node.find("symmetric")) words.symmetric = value->boolean();
  if (const auto value = node.find("narrow")) words.narrow = value->boolean();
  if (const auto value = node.find("scale_bits")) words.scale_bits = static_cast<int>(value->integer_in(2, 10));
  if (const auto value = node.find("gain")) words.gain = value->boolean();
  return words;
}

}  // namespace

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
  const auto* entry = find_range_method(text);
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
  if (find_format(format_in(text)) == nullptr) throw InputError(is_not_a_choice(text) + "; known: " + known(formats()));
  try {
    return make_choice(read_choice_words(text), defaults, defaults_of_kind);
  } catch (const InputError& error) {
    throw InputError(is_not_a_choice(text) + ": " + error.what());
  }
}

Choice read_choice(const Yaml& node, const ChoiceDefaults& defaults, const ChoiceDefaults& defaults_of_kind) {
  const bool map = node.is_map();
  const ChoiceWords words = map ? read_map(node) : ChoiceWords{};
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
