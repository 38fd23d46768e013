#include "quant/choice_words.hpp"

#include <algorithm>
#include <charconv>

#include "core/error.hpp"
#include "quant/roundings/level_roundings.hpp"
#include "quant/roundings/roundings.hpp"

namespace bitplan {
namespace {

constexpr int kMaxGroup = 1 << 20;
constexpr std::string_view kAnalyticBias = "bias:analytic";

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

double checked_percentile(double percentile) {
  if (!(percentile >= 50 && percentile <= 100)) throw InputError("the percentile must be 50 to 100");
  return percentile;
}

double checked_norm(double norm) {
  if (!(norm >= 0.5 && norm <= 8)) throw InputError("the exponent of lp must be 0.5 to 8");
  return norm;
}

int checked_scale_bits(int bits) {
  if (bits < 2 || bits > 10) throw InputError("the scale of a vector has 2 to 10 bits");
  return bits;
}

/// "; variants: mxfp4:away" of "mxfp4"; empty where there are none.
std::string variants_of(std::string_view format) {
  std::string names;
  for (const FormatEntry& entry : formats())
    if (entry.name.size() > format.size() && entry.name.starts_with(format) && entry.name[format.size()] == ':')
      names.append(names.empty() ? "; variants: " : ", ").append(entry.name);
  return names;
}

void read_granularity_word(std::string_view word, ChoiceWords& words) {
  Granularity granularity;
  if (word == "tensor")
    granularity.kind = Granularity::Kind::tensor;
  else if (word == "token")
    granularity.kind = Granularity::Kind::token;
  else if (word.starts_with('g'))
    granularity = group_of(word.substr(1));
  else if (word != "channel")
    throw InputError("'" + std::string(word) +
                     "' is not a granularity; known: tensor, channel, token, gN for groups of N" +
                     variants_of(words.format));
  say_once(words.granularity, granularity, "granularity");
}

/// "percentile99.9" and "lp2.4": the name of a range and its number.
bool read_range_with_number(std::string_view word, ChoiceWords& words) {
  constexpr std::string_view kPercentile = "percentile", kName = "lp";
  if (word.starts_with(kPercentile)) {
    const auto percentile = parse_whole<double>(word.substr(kPercentile.size()));
    if (!percentile) throw InputError("'" + std::string(word) + "' has no number of per cent, as in percentile99.9");
    words.percentile = checked_percentile(*percentile);
    say_once(words.range, RangeMethod::percentile, "range");
    return true;
  }
  if (!word.starts_with(kName)) return false;
  const auto norm = parse_whole<double>(word.substr(kName.size()));
  if (!norm) throw InputError("'" + std::string(word) + "' has no exponent, as in lp2.4");
  words.norm = checked_norm(*norm);
  say_once(words.range, RangeMethod::lp, "range");
  return true;
}

void read_modifier(std::string_view word, ChoiceWords& words) {
  constexpr std::string_view kScale = "scale", kOutliers = "outliers";
  if (word == "affine" || word == "symmetric")
    return say_once(words.symmetric, word == "symmetric", "affine or symmetric");
  if (word == "narrow") return say_once(words.narrow, true, "narrow");
  if (word == "gain") return say_once(words.gain, true, "gain");
  if (word == "tuned") return say_once(words.tuned, true, "tuned");
  if (word == "refit") return say_once(words.refit, true, "refit");
  if (word == "awq") return say_once(words.awq, true, "awq");
  if (word == "bias") return say_once(words.bias, BiasCorrection::empirical, "bias");
  if (word == kAnalyticBias) return say_once(words.bias, BiasCorrection::analytic, "bias");
  if (const auto rounding = known_rounding(word)) return say_once(words.rounding, *rounding, "rounding");
  if (const auto* entry = find_range_method(word)) return say_once(words.range, entry->method, "range");
  if (read_range_with_number(word, words)) return;
  if (word.starts_with(kScale)) {
    const auto bits = parse_whole<int>(word.substr(kScale.size()));
    if (!bits) throw InputError("'" + std::string(word) + "' has no number of bits, as in scale6");
    return say_once(words.scale_bits, checked_scale_bits(*bits), "scale bits");
  }
  if (word.starts_with(kOutliers)) {
    const auto share = parse_whole<double>(word.substr(kOutliers.size()));
    if (!share) throw InputError("'" + std::string(word) + "' has no number of per cent, as in outliers1");
    return say_once(words.outliers, checked_outliers(*share), "outliers");
  }
  throw InputError("'" + std::string(word) +
                   "' is not a modifier; known: tuned, affine, symmetric, narrow, gain, refit, scaleN, awq, outliersP, "
                   "bias, bias:analytic, " +
                   known(range_methods()) + ", " + known_roundings());
}

}  // namespace

std::optional<std::string_view> known_rounding(std::string_view name) {
  if (const auto* rounding = rounding_named(name)) return rounding->name;
  if (const auto* rounding = level_rounding_named(name)) return rounding->name;
  return std::nullopt;
}

std::string known_roundings() {
  std::string names = known(roundings());
  for (const auto& rounding : level_roundings())
    if (rounding_named(rounding.name) == nullptr) names.append(", ").append(rounding.name);
  return names;
}

double checked_outliers(double share) {
  if (!(share > 0 && share <= 50)) throw InputError("the share of outliers must be above 0 and at most 50 per cent");
  return share;
}

Granularity group_of(std::string_view count) {
  const auto group = parse_whole<int>(count);
  if (!group || *group < 1 || *group > kMaxGroup)
    throw InputError("a group has 1 to " + std::to_string(kMaxGroup) + " elements, not '" + std::string(count) + "'");
  return {Granularity::Kind::group, *group};
}

std::string_view format_in(std::string_view text) {
  std::string_view part = text.substr(0, text.find_first_of(":+")), format = part;
  while (part.size() < text.size() && text[part.size()] == ':') {
    part = text.substr(0, text.find_first_of(":+", part.size() + 1));
    if (find_format(part) != nullptr) format = part;
  }
  return format;
}

ChoiceWords read_choice_words(std::string_view text) {
  ChoiceWords words;
  words.format = format_in(text);
  auto end = words.format.size() == text.size() ? std::string_view::npos : words.format.size();
  while (end != std::string_view::npos) {
    const char kind = text[end];
    const auto begin = end + 1;
    end = text.find_first_of(":+", begin);
    // Names of roundings and bias:analytic hold a colon.
    const auto longer = end == std::string_view::npos ? end : text.find_first_of(":+", end + 1);
    const auto whole = text.substr(begin, longer - begin);
    if (kind == '+' && (known_rounding(whole) || whole == kAnalyticBias)) end = longer;
    const auto word = text.substr(begin, end == std::string_view::npos ? end : end - begin);
    if (kind == ':')
      read_granularity_word(word, words);
    else
      read_modifier(word, words);
  }
  return words;
}

const RangeEntry* find_range_method(std::string_view name) {
  const auto entries = range_methods();
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.name == name; });
  return found == entries.end() ? nullptr : &*found;
}

}  // namespace bitplan
