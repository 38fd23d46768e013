#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/yaml.hpp"
#include "quant/formats/number_format.hpp"

namespace bitplan {

using ChoiceId = std::int16_t;  ///< index into a ChoiceTable

/// How the range of values is found before it is cut into steps.
/// Defined in quant/ranges/weight_range.hpp and quant/ranges/range_search.hpp.
enum class RangeMethod : std::uint8_t {
  absmax,
  minmax,
  percentile,
  mse,
  grid,
  lp,
  wmse,
  octav,
  halfstep,
  noclip,
  pow2,
  pow2_mse,
  fit,
  output
};

/// Compensation: what is added to a layer's bias, so that quantization keeps the mean of its outputs.
enum class BiasCorrection : std::uint8_t {
  none,
  empirical,  ///< from the layer's inputs on calibration data
  analytic    ///< from the batch normalisations before it, without data (eval/moments/expected_inputs.hpp)
};

/// What a site may be: `float`, or a recipe = number format + granularity + range + rounding + compensation.
/// Integer of b bits (1…8, 16), x' = s (q - z), rounding half to even:
///   signed    q in -2^(b-1) … 2^(b-1)-1, narrow drops the lowest;   unsigned q in 0 … 2^b-1
/// Other formats: quant/formats/number_format.hpp.
struct Choice {
  /// Canonical text: "float", "int4", "int4:g64", "int4:tensor", "int4+affine", "nf4:g32"; parse(label) == *this.
  std::string label;
  std::string_view format = "float";  ///< a name of formats()
  FormatFamily family = FormatFamily::floating;
  bool is_float = true;
  int bits = 32;          ///< of a code; 32 for float
  bool symmetric = true;  ///< zero point 0; else affine (integers only)
  bool narrow = false;
  Granularity granularity;
  RangeMethod range = RangeMethod::mse;
  double percentile = 99.99;  ///< per cent of values inside the range (range == percentile)
  double norm = 2.4;          ///< p of the error |x' - x|^p (range == lp)
  int scale_bits = 4;         ///< of the integer scale of a vector (family == vector)
  bool gain = false;          ///< each scale times <w, w> / <w', w>: w' keeps its length along w
  // What is done besides (quant/layer_quantizer.hpp):
  std::string_view rounding = "nearest";  ///< a name of roundings() or, not integers, level_roundings()
  bool refit = false;                     ///< scales once more, by the layer's output, when the codes are found
  bool awq = false;                       ///< input channels with large activations get finer steps
  double outliers = 0;                    ///< per cent of input channels, those of the largest inputs, kept in float16
  bool activation = false;                ///< not of a weight (float is of both)
  BiasCorrection bias = BiasCorrection::none;

  bool is_integer() const { return family == FormatFamily::integer; }
  /// Zero points lie between codes (QuantizedWeight::offsets): of HQQ, and of range fit when affine.
  bool has_offsets() const;
  /// Needs the inputs of the layer (second moments over the calibration data).
  bool needs_data() const;
  /// Made once and kept: needs data, what stands before the layer, or long computing.
  bool is_prepared() const { return needs_data() || rounding != "nearest" || bias == BiasCorrection::analytic; }
  /// All fields: "int8" of weights (symmetric, channel) is not "int8" of activations (affine, tensor).
  bool operator==(const Choice&) const = default;
};

struct RangeEntry {
  std::string_view name, summary;
  RangeMethod method;
};
std::span<const RangeEntry> range_methods();

/// The recipe that measures best on the public models (docs/roundings.md), for integers of at most 8 bits: range fit,
/// rounding gptq, refit and bias; affine below 8 bits, symmetric with 8, where nothing is gained and a zero point would
/// keep the weight out of 8-bit kernels; no refit with one scale for a tensor. `choice` keeps bits and granularity.
Choice tuned(Choice choice);

/// What a site's choices have in common, from `space.weights` or `space.activations`.
struct ChoiceDefaults {
  bool symmetric = true;
  bool narrow = false;
  Granularity granularity;
  RangeMethod range = RangeMethod::mse;
  double percentile = 99.99;
  std::string_view rounding = "nearest";  ///< of the formats that can follow it
  bool refit = false;                     ///< likewise
  /// Choices of integers that say nothing but bits and granularity take the recipe `tuned` in place of all these.
  bool tuned = false;
  BiasCorrection bias = BiasCorrection::none;
  /// Of activations: tensor, channel or token, the range found by an observer or, of a token, its own. Other
  /// granularities, ranges, roundings and compensation are errors.
  bool observed = false;

  static ChoiceDefaults weights();      ///< symmetric, channel, mse
  static ChoiceDefaults activations();  ///< affine, tensor, by the observer
};

/// The keys granularity, range, percentile, symmetric, narrow, rounding, refit and compensation of a map, over
/// `defaults`; other keys are the caller's.
ChoiceDefaults read_choice_defaults(const Yaml& map, const ChoiceDefaults& defaults);
/// "tensor", "channel", "token" or "group:64".
Granularity read_granularity(const Yaml& node);
RangeMethod read_range_method(const Yaml& node);

/// A format, then `:tensor`, `:channel`, `:token` or `:gN`, then modifiers `+tuned`, `+affine`, `+symmetric`,
/// `+narrow`, `+gain`, `+refit`,
/// `+scaleN`, a range (`+absmax`, `+percentile99.9`, …), a rounding (`+hqq`, `+gptq:actorder`, …), `+awq`,
/// `+outliersP`, `+bias` and `+bias:analytic`, as in "int3:g64+affine+minmax+gptq+bias"; what is not said comes from
/// `defaults`, except that formats other than integers have their own granularity (where the table says so) and range
/// absmax. The label says only what differs from `defaults_of_kind` (ChoiceDefaults::weights() or activations()) or
/// from the format's own. Throws InputError "'int9' is not a choice; known: …".
Choice parse_choice(std::string_view text, const ChoiceDefaults& defaults, const ChoiceDefaults& defaults_of_kind);

/// A choice in YAML: the text form, or a map {format: int4, granularity: group:64, range: mse, symmetric: false, …}.
/// Errors cite the place in the file.
Choice read_choice(const Yaml& node, const ChoiceDefaults& defaults, const ChoiceDefaults& defaults_of_kind);

/// Every choice of an experiment. Row 0 is always float. Weight and activation choices share the table; a label is
/// unique among the choices of one kind of site.
class ChoiceTable {
 public:
  ChoiceTable();
  ChoiceId add(const Choice& choice);  ///< the id it has already, when it is known
  const Choice& operator[](ChoiceId id) const { return rows_[static_cast<std::size_t>(id)]; }
  std::size_t size() const { return rows_.size(); }

 private:
  std::vector<Choice> rows_;
};
inline constexpr ChoiceId kFloat = 0;

/// A choice for each site of the network, by SiteId: the candidate that searchers propose.
using Assignment = std::vector<ChoiceId>;

}  // namespace bitplan
