#include "quant/choice.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <limits>
#include <optional>

#include "core/error.hpp"
#include "quant/choice_words.hpp"
#include "quant/roundings/level_roundings.hpp"
#include "quant/roundings/roundings.hpp"

namespace bitplan {
namespace {

/// Every range method of weights.
constexpr std::array kRangeMethods{
    RangeEntry{"absmax", "-max |w| to max |w|", RangeMethod::absmax},
    RangeEntry{"minmax", "min w to max w", RangeMethod::minmax},
    RangeEntry{"percentile", "the given per cent of the values, both tails cut alike", RangeMethod::percentile},
    RangeEntry{"mse", "of 100 clip ratios 0.3 to 1.0 the one with the least squared error", RangeMethod::mse},
    RangeEntry{"grid",
               "of max |w| k / 20, k = 1 to 20, the one with the least squared error; affine: scale, then zero (brevitas)",
               RangeMethod::grid},
    RangeEntry{"lp", "of the clip ratios of mse the one with the least |error|^p, as in lp2.4", RangeMethod::lp},
    RangeEntry{"wmse", "of the same the least squared error weighted by the layer's input energy", RangeMethod::wmse},
    RangeEntry{"octav", "the clipping point of Newton's iteration (OCTAV)", RangeMethod::octav},
    RangeEntry{"halfstep", "-max |w| to max |w| over all 2^b - 1 steps (torch)", RangeMethod::halfstep},
    RangeEntry{"noclip", "the least symmetric scale that clips neither end (torchao)", RangeMethod::noclip},
    RangeEntry{"pow2", "the power of two nearest to halfstep's scale (Quark)", RangeMethod::pow2},
    RangeEntry{"pow2_mse", "of that and 2 powers to each side the one with the least squared error (Quark)",
               RangeMethod::pow2_mse},
    RangeEntry{"fit", "scale and, affine, a zero point between codes of least squared error, in turn with the codes",
               RangeMethod::fit},
    RangeEntry{"output",
               "of 21 clip ratios 0.3 to 1.0, part after part, the one with the least error of the layer's output",
               RangeMethod::output},
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
  if (granularity.kind == Granularity::Kind::token) return ":token";
  return std::string(":g").append(std::to_string(granularity.group));
}

std::string_view name_of(RangeMethod range) {
  return std::ranges::find(kRangeMethods, range, &RangeEntry::method)->name;
}

std::string range_label(const Choice& choice, RangeMethod plain, double plain_percentile) {
  const bool percentile = choice.range == RangeMethod::percentile;
  if (choice.range == plain && (!percentile || choice.percentile == plain_percentile) && choice.norm == kNorm)
    return {};
  std::string label("+");
  label.append(name_of(choice.range));
  if (percentile && choice.percentile != plain_percentile) label.append(shortest(choice.percentile));
  if (choice.norm != kNorm) label.append(shortest(choice.norm));
  return label;
}

constexpr std::string_view kNearest = "nearest";

/// HQQ: affine, from min to max, whatever the experiment says of ranges.
bool finds_own_grid(const Choice& choice) {
  const Rounding* rounding = choice.is_integer() ? rounding_named(choice.rounding) : nullptr;
  return rounding != nullptr && rounding->grid == Rounding::Grid::zero_points;
}
RangeMethod own_range(const Choice& choice) { return choice.is_integer() ? RangeMethod::minmax : RangeMethod::absmax; }

bool can_tune(const FormatEntry& format) { return format.family == FormatFamily::integer && format.bits <= 8; }

std::string label_of(const Choice& choice, const FormatEntry& format, const ChoiceDefaults& kind) {
  std::string label(format.name);
  const bool own = format.cut != Cut::as_asked;
  if (!(choice.granularity == (own ? format.granularity : kind.granularity)))
    label += granularity_label(choice.granularity);
  if (!choice.activation && can_tune(format) && tuned(choice) == choice) {
    label += "+tuned";
    if (choice.awq) label += "+awq";
    return choice.outliers > 0 ? label + "+outliers" + shortest(choice.outliers) : label;
  }
  if (has_symmetry(format) && choice.symmetric != kind.symmetric && !finds_own_grid(choice))
    label += choice.symmetric ? "+symmetric" : "+affine";
  if (choice.narrow) label += "+narrow";
  const bool ranged = choice.is_integer() && !finds_own_grid(choice);
  label += range_label(choice, ranged ? kind.range : own_range(choice), kind.percentile);
  if (choice.scale_bits != kScaleBits) label += "+scale" + std::to_string(choice.scale_bits);
  if (choice.gain) label += "+gain";
  if (choice.rounding != kNearest) label.append("+").append(choice.rounding);
  if (choice.refit) label += "+refit";
  if (choice.awq) label += "+awq";
  if (choice.outliers > 0) label += "+outliers" + shortest(choice.outliers);
  if (choice.bias == BiasCorrection::none) return label;
  return label + (choice.bias == BiasCorrection::analytic ? "+bias:analytic" : "+bias");
}

/// The range methods that a format can take.
bool takes(const FormatEntry& format, RangeMethod range) {
  using enum RangeMethod;
  if (format.family == FormatFamily::integer) return (range != output && range != fit) || format.bits <= 8;
  if (format.family == FormatFamily::codebook) return range == wmse || range == absmax;
  if (format.family != FormatFamily::scaled) return range == absmax;
  return range == absmax || range == percentile || range == mse || range == grid || range == lp || range == wmse;
}

bool needs_symmetric(RangeMethod range) {
  using enum RangeMethod;
  return range == octav || range == halfstep || range == noclip || range == pow2 || range == pow2_mse;
}

bool is_power_of_two(RangeMethod range) { return range == RangeMethod::pow2 || range == RangeMethod::pow2_mse; }

/// Those whose parts have a scale in float32 of their own.
bool takes_gain(const FormatEntry& format) {
  using enum FormatFamily;
  return format.family == integer || format.family == scaled || format.family == binary || format.family == ternary ||
         format.family == ternary_two;
}

/// Scales of parts that may be any number.
bool can_refit(const FormatEntry& format, const Choice& choice) {
  return format.family == FormatFamily::integer && format.bits <= 8 && !is_power_of_two(choice.range) &&
         choice.granularity.kind != Granularity::Kind::tensor;
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
  if (needs_symmetric(choice.range) && !choice.symmetric)
    throw InputError("range " + std::string(name_of(choice.range)) + " needs symmetric");
  if (words.scale_bits && format.family != FormatFamily::vector) throw InputError("scaleN is for vsint formats");
  if (choice.gain && !takes_gain(format)) throw InputError(name + " has no scale that gain could change");
  if (choice.refit && !can_refit(format, choice))
    throw InputError("refit is for integers of at most 8 bits by channel or group, with scales that are no powers of two");
  if (choice.range == RangeMethod::output && choice.gain) throw InputError("range output finds the scales: no gain");
  if (choice.range == RangeMethod::output && choice.granularity.kind == Granularity::Kind::tensor)
    throw InputError("range output is found row by row: it needs channels or groups");
  if (choice.gain && is_power_of_two(choice.range)) throw InputError("gain would make the scale no power of two");
}

/// Whether a rounding can choose the format's codes.
bool takes_rounding(const FormatEntry& format, std::string_view rounding) {
  if (rounding == kNearest) return true;
  if (format.family == FormatFamily::integer) return format.bits <= 8 && rounding_named(rounding) != nullptr;
  const LevelRounding* of_levels = level_rounding_named(rounding);
  return of_levels != nullptr && of_levels->takes(format);
}

std::string formats_with(std::string_view rounding) {
  std::string names;
  for (const FormatEntry& format : formats())
    if (takes_rounding(format, rounding)) names.append(names.empty() ? "" : ", ").append(format.name);
  return names;
}

/// Rejects roundings that the format cannot follow.
void check_rounding(const ChoiceWords& words, const FormatEntry& format, const Choice& choice) {
  if (choice.rounding == kNearest || choice.activation) return;  // activations have none, see check_activation()
  const std::string name(choice.rounding);
  if (!takes_rounding(format, choice.rounding))
    throw InputError("rounding " + name + " is for " + formats_with(choice.rounding));
  if (choice.rounding == "billm" && choice.gain) throw InputError("rounding billm finds its own scales: no gain");
  if (choice.rounding == "nupes" && choice.granularity.kind != Granularity::Kind::channel)
    throw InputError("rounding nupes gives each channel one scale: it needs granularity channel");
  if (!choice.is_integer()) return;
  const Rounding& rounding = find_rounding(choice.rounding);
  if (rounding.grid != Rounding::Grid::kept && choice.granularity.kind == Granularity::Kind::tensor)
    throw InputError("rounding " + name + " gives parts scales of their own: it needs channels or groups");
  if (rounding.grid != Rounding::Grid::kept && is_power_of_two(choice.range))
    throw InputError("rounding " + name + " would make the scale no power of two");
  if (!finds_own_grid(choice)) return;
  if (words.symmetric && *words.symmetric) throw InputError("rounding " + name + " finds zero points: not symmetric");
  if (words.narrow && *words.narrow) throw InputError("narrow needs symmetric");
  if (words.range || words.gain) throw InputError("rounding " + name + " finds its own range");
}

constexpr const char* kTokenIsForActivations = "granularity token is for activations";
constexpr const char* kNoGroups = "activations have granularity tensor, channel or token";

/// Rejects what activations cannot follow.
void check_activation(const ChoiceWords& words, const Choice& choice) {
  using enum Granularity::Kind;
  if (!choice.is_integer() || choice.bits < 2 || choice.bits > 8)
    throw InputError("activations are integers of 2 to 8 bits");
  if (choice.granularity.kind == group) throw InputError(kNoGroups);
  if (words.range && choice.granularity.kind == token)
    throw InputError("a token's range is that of its own values, without a range method");
  if (words.range) throw InputError("the observer finds the range of activations");
  if (choice.gain || choice.awq || choice.refit || choice.bias != BiasCorrection::none || words.rounding)
    throw InputError("gain, rounding, refit, awq and bias are for weights");
  if (choice.outliers > 0 && choice.granularity.kind == channel)
    throw InputError("outliers are for granularity tensor and token: each channel has a scale of its own");
}

/// Rejects words which would have no effect.
void check(const ChoiceWords& words, const Choice& choice) {
  if (choice.narrow && !choice.symmetric) throw InputError("narrow needs symmetric");
  if (words.percentile && choice.range != RangeMethod::percentile)
    throw InputError("percentile needs range percentile");
  if (words.norm && choice.range != RangeMethod::lp) throw InputError("norm needs range lp");
  if (choice.activation) return check_activation(words, choice);
  if (choice.granularity.kind == Granularity::Kind::token) throw InputError(kTokenIsForActivations);
}

Choice make_float(const ChoiceWords& words) {
  if (words.granularity || words.symmetric || words.narrow || words.range || words.percentile || words.norm ||
      words.scale_bits || words.gain || words.rounding || words.refit || words.tuned || words.awq || words.outliers || words.bias)
    throw InputError("float has no granularity and no modifiers");
  Choice choice;
  choice.label = "float";
  return choice;
}

/// Nothing said of what the recipe `tuned` says.
bool leaves_recipe(const ChoiceWords& words) {
  return !words.symmetric && !words.narrow && !words.range && !words.percentile && !words.norm && !words.gain &&
         !words.rounding && !words.refit && !words.bias;
}

void check_tuned(const ChoiceWords& words, const FormatEntry& format, const ChoiceDefaults& kind) {
  if (!words.tuned.value_or(false)) return;
  if (kind.observed) throw InputError("tuned is for weights");
  if (!can_tune(format)) throw InputError("tuned is for int1 to int8");
  if (!leaves_recipe(words))
    throw InputError("tuned is a symmetry, a range, a rounding, refit and bias: none of them can be said beside it");
}

Choice make_choice(const ChoiceWords& words, const ChoiceDefaults& defaults, const ChoiceDefaults& kind) {
  const FormatEntry& format = *find_format(words.format);
  if (format.family == FormatFamily::floating) return make_float(words);
  check_tuned(words, format, kind);
  Choice choice;
  choice.format = format.name;
  choice.family = format.family;
  choice.bits = format.bits;
  choice.is_float = false;
  choice.activation = kind.observed;
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
  choice.awq = words.awq.value_or(false);
  choice.outliers = words.outliers.value_or(0);
  choice.bias = words.bias.value_or(defaults.bias);
  choice.rounding = words.rounding.value_or(takes_rounding(format, defaults.rounding) ? defaults.rounding : kNearest);
  choice.refit = words.refit.value_or(!choice.activation && defaults.refit && can_refit(format, choice));
  if (words.tuned.value_or(defaults.tuned && !kind.observed && can_tune(format) && leaves_recipe(words)))
    choice = tuned(choice);
  if (!choice.activation) check_rounding(words, format, choice);
  if (finds_own_grid(choice)) {
    choice.symmetric = choice.narrow = false;
    choice.range = RangeMethod::minmax;
    choice.percentile = ChoiceDefaults().percentile;
  }
  check(words, choice);
  check_format(words, format, choice);
  choice.label = label_of(choice, format, kind);
  return choice;
}

std::string is_not_a_choice(std::string_view text) { return "'" + std::string(text) + "' is not a choice"; }

std::string_view read_rounding(const Yaml& node) {
  const std::string text = node.text();
  const auto name = known_rounding(text);
  if (!name) node.fail("'" + text + "' is not a rounding; known: " + known_roundings());
  return *name;
}

BiasCorrection read_compensation(const Yaml& node) {
  const std::string text = node.text();
  if (text == "none") return BiasCorrection::none;
  if (text == "bias") return BiasCorrection::empirical;
  if (text == "analytic") return BiasCorrection::analytic;
  node.fail("'" + text + "' is not a compensation; known: none, bias, analytic");
}

ChoiceWords read_map(const Yaml& node) {
  node.only({"format", "granularity", "range", "percentile", "norm", "symmetric", "narrow", "scale_bits", "gain",
             "rounding", "refit", "tuned", "awq", "outliers", "compensation"});
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
  if (const auto value = node.find("rounding")) words.rounding = read_rounding(*value);
  if (const auto value = node.find("refit")) words.refit = value->boolean();
  if (const auto value = node.find("tuned")) words.tuned = value->boolean();
  if (const auto value = node.find("awq")) words.awq = value->boolean();
  if (const auto value = node.find("outliers")) words.outliers = value->number_in(0.01, 50);
  if (const auto value = node.find("compensation")) words.bias = read_compensation(*value);
  return words;
}

}  // namespace

Choice tuned(Choice choice) {
  choice.symmetric = choice.bits == 8;
  choice.narrow = false;
  choice.range = RangeMethod::fit;
  choice.percentile = ChoiceDefaults().percentile;
  choice.norm = kNorm;
  choice.gain = false;
  choice.rounding = "gptq";
  choice.refit = choice.granularity.kind != Granularity::Kind::tensor;
  choice.bias = BiasCorrection::empirical;
  return choice;
}

bool Choice::has_offsets() const { return finds_own_grid(*this) || (range == RangeMethod::fit && !symmetric); }

bool Choice::needs_data() const {
  if (activation) return false;
  const Rounding* of_integers = rounding_named(rounding);
  const bool rounding_needs = !is_integer() ? rounding != kNearest : of_integers != nullptr && of_integers->needs_gram;
  return range == RangeMethod::wmse || range == RangeMethod::output || gain || refit || awq || outliers > 0 ||
         bias == BiasCorrection::empirical || rounding_needs;
}

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
  if (text == "token") return {Granularity::Kind::token, 0};
  if (!text.starts_with(kGroup))
    node.fail("'" + text + "' is not a granularity; known: tensor, channel, token, group:N");
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
  for (const char* key : {"range", "percentile", "symmetric", "narrow", "rounding", "refit", "compensation"})
    if (map.find(key)) read.tuned = false;
  if (const auto value = map.find("granularity")) {
    read.granularity = read_granularity(*value);
    if (read.observed && read.granularity.kind == Granularity::Kind::group) value->fail(kNoGroups);
    if (!read.observed && read.granularity.kind == Granularity::Kind::token) value->fail(kTokenIsForActivations);
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
  if (const auto value = map.find("rounding")) read.rounding = read_rounding(*value);
  if (const auto value = map.find("refit")) read.refit = value->boolean();
  if (const auto value = map.find("compensation")) read.bias = read_compensation(*value);
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
