#include <algorithm>
#include <cmath>

#include "quant/observers/channel_observer.hpp"
#include "quant/ranges/magnitude_search.hpp"
#include "tests/golden/golden_checks.hpp"

namespace bitplan::test {
namespace {

/// Batches of activations: the first dimension counts them.
struct Batches {
  Tensor tensor;
  std::size_t count, size;

  explicit Batches(const Tensor& acts)
      : tensor(acts.cast(DType::f32)),
        count(static_cast<std::size_t>(acts.shape().at(0))),
        size(tensor.size() / std::max<std::size_t>(count, 1)) {}
  std::span<const float> operator[](std::size_t b) const { return tensor.values<float>().subspan(b * size, size); }
};

bool mentions(const GoldenCase& golden, std::string_view word) {
  return golden.text("source").find(word) != std::string::npos;
}

/// The number behind "percentile" in the case's name or its source.
std::optional<double> percentile_of(const GoldenCase& golden) {
  if (const auto given = golden.number("percentile")) return given;
  for (const std::string& text : {golden.text("source"), golden.text("case")}) {
    const auto at = text.find("percentile");
    if (at != std::string::npos && at + 10 < text.size() && std::isdigit(static_cast<unsigned char>(text[at + 10])))
      return std::stod(text.substr(at + 10));
  }
  return std::nullopt;
}

double mean_squared(std::span<const float> x, std::span<const float> values) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += std::pow(static_cast<double>(values[i]) - x[i], 2);
  return sum / static_cast<double>(std::max<std::size_t>(x.size(), 1));
}

double error_of(const Affine& q, std::span<const float> x) {
  std::vector<float> out(x.size());
  fake_quantize(q, x, out);
  return mean_squared(x, out);
}

/// One case: what was observed, how, and what the reference made of it.
struct ObserverCase {
  const GoldenCase& golden;
  Batches batches;
  int bits;
  bool symmetric, one_sided;  ///< one_sided: codes from 0, whatever "symmetric" says
  std::vector<float> last;    ///< the last batch, which the reference quantized

  explicit ObserverCase(const GoldenCase& c)
      : golden(c),
        batches(c.shared_array("act_file")),
        bits(static_cast<int>(c.integer("bits").value())),
        symmetric(c.flag("symmetric")),
        one_sided(symmetric && c.integer("qmin").value_or(0) >= 0 && !mentions(c, "aimet")),
        last(c.floats("x")) {}

  std::unique_ptr<Observer> observe(ObserverSpec spec) const {
    auto observer = find_observer(spec.name).make(spec);
    for (std::size_t b = 0; b < batches.count; ++b) observer->observe(batches[b]);
    return observer;
  }
  double low() const { return golden.doubles("range_min").at(0); }
  double high() const { return golden.doubles("range_max").at(0); }
  double scale() const { return golden.doubles("scale").at(0); }
  bool narrow() const { return golden.integer("qmin").value_or(0) == -golden.integer("qmax").value_or(0); }
  Affine theirs() const {
    return {static_cast<float>(scale()), static_cast<std::int32_t>(golden.doubles("zero").at(0)),
            static_cast<std::int32_t>(golden.integer("qmin").value()),
            static_cast<std::int32_t>(golden.integer("qmax").value())};
  }
  /// Our scale and zero point under the reference's limits of codes.
  Affine ours(double our_scale, double zero) const {
    Affine q = theirs();
    q.scale = static_cast<float>(our_scale);
    q.zero_point = static_cast<std::int32_t>(zero);
    return q;
  }
};

/// The reference's values of the last batch from our quantizer, but for ties.
Comparison& compare_codes(Comparison& is, const ObserverCase& c, const Affine& q) {
  std::vector<std::int64_t> codes;
  std::vector<double> positions;
  std::vector<float> out(c.last.size());
  fake_quantize(q, c.last, out);
  for (std::size_t i = 0; i < c.last.size(); ++i) {
    codes.push_back(std::llround(out[i] / q.scale) + q.zero_point);
    positions.push_back(static_cast<double>(c.last[i]) / q.scale);
  }
  return is.codes_except_ties(codes, c.golden.integers("q"), positions, 1e-5)
      .errors(c.last, out, c.golden.floats("out"));
}

/// torch's scale of a symmetric range: a half step more on the side of -2^(b-1).
double torch_symmetric_scale(Range range, int bits) {
  return 2.0 * std::max(-range.low, range.high) / (std::ldexp(1, bits) - 1);
}

/// Ranges that must be equal: the range to `tolerance`, scale and codes as the source makes them of it.
Outcome compare_range(const ObserverCase& c, Range range, double tolerance) {
  Affine q = affine_from_range(range.low, range.high, c.bits, c.symmetric && !c.one_sided, c.narrow());
  double scale = q.scale, low = std::min(range.low, 0.0F), high = std::max(range.high, 0.0F);
  if (c.symmetric && !c.one_sided && mentions(c.golden, "torch==")) scale = torch_symmetric_scale(range, c.bits);
  double zero = q.zero_point;
  if (c.symmetric && mentions(c.golden, "aimet")) {  // codes from 0; neither end is clipped
    scale = std::max(high / q.q_max, low / q.q_min);
    low = scale * q.q_min, high = scale * q.q_max;
    zero = -q.q_min;
  }
  Comparison is(c.golden);
  is.near("range_min", low, std::min(c.low(), 0.0), tolerance)
      .near("range_max", high, std::max(c.high(), 0.0), tolerance)
      .near("scale", scale, c.scale(), std::max(tolerance, 1e-6))
      .near("zero", zero, c.golden.doubles("zero").at(0), 0);
  return compare_codes(is, c, c.ours(scale, zero)).outcome();
}

Outcome compare_threshold(const ObserverCase& c, Range range, double theirs, double relative, double absolute) {
  const double ours = std::max(-range.low, range.high);
  const Affine q =
      affine_from_range(c.one_sided ? 0 : range.low, range.high, c.bits, c.symmetric && !c.one_sided, c.narrow());
  std::vector<float> out(c.last.size());
  fake_quantize(q, c.last, out);
  return Comparison(c.golden)
      .near("threshold", ours, theirs, relative, absolute)
      .errors(c.last, out, c.golden.floats("out"))
      .outcome();
}

/// Whether a later batch widens the range of the first; the reference then spreads what it counted over other bins.
bool widens(const Batches& batches) {
  const Range first = range_of(batches[0]), all = range_of(batches.tensor.values<float>());
  return first.low > all.low || first.high < all.high;
}

/// The reference's ends where it never spread its counts. Where it did, they depend on the order of the batches: what
/// has to be as low then is the error of all values that were observed, which is what the search looks at; the last
/// batch alone is a few values at this or that place between the codes.
Outcome check_torch_histogram(const ObserverCase& c) {
  const Range range = c.observe({.name = "histogram"})->range(c.bits, c.symmetric, false);
  const Affine q = affine_from_range(range.low, range.high, c.bits, false, false);
  const Affine ours = c.symmetric ? c.ours(torch_symmetric_scale(range, c.bits), 0) : c.ours(q.scale, q.zero_point);
  const std::span<const float> all = c.batches.tensor.values<float>();
  const double tolerance = widens(c.batches) ? 2e-2 : 1e-6;
  return Comparison(c.golden)
      .near("range_min", range.low, c.low(), tolerance)
      .near("range_max", range.high, c.high(), tolerance)
      .near("the reference's mse", error_of(c.theirs(), c.last), c.golden.number("achieved_mse").value(), 1e-3)
      .at_most("mse", error_of(ours, all), error_of(c.theirs(), all), 1.02)
      .outcome();
}

Outcome check_torch_channels(const ObserverCase& c, const ObserverSpec& spec, std::size_t axis) {
  const Shape shape = c.golden.shape("x");
  std::int64_t inner = 1;
  for (std::size_t d = axis + 1; d < shape.size(); ++d) inner *= shape[d];
  ChannelObserver channels(spec, shape.at(axis));
  for (std::size_t b = 0; b < c.batches.count; ++b) channels.observe(c.batches[b], inner);
  std::vector<Affine> quantizers = channels.quantizers(c.bits, c.symmetric, false);
  std::vector<double> scales, zeros, lows, highs;
  for (std::int64_t ch = 0; ch < channels.channels(); ++ch) {
    Affine& q = quantizers[static_cast<std::size_t>(ch)];
    const Range range = channels.channel(ch).range(c.bits, c.symmetric, false);
    if (c.symmetric) q.scale = static_cast<float>(torch_symmetric_scale(range, c.bits));
    if (range == Range{}) q.scale = 0x1p-23F;  // torch's floor for a channel of zeros; 1 here
    scales.push_back(q.scale);
    zeros.push_back(q.zero_point);
    lows.push_back(std::min(range.low, 0.0F));
    highs.push_back(std::max(range.high, 0.0F));
  }
  std::vector<double> their_lows = c.golden.doubles("range_min"), their_highs = c.golden.doubles("range_max");
  for (double& low : their_lows) low = std::min(low, 0.0);  // the quantizer's range has 0 in it in both
  for (double& high : their_highs) high = std::max(high, 0.0);
  std::vector<float> out(c.last.size());
  fake_quantize_parts(quantizers, inner, c.last, out);
  return Comparison(c.golden)
      .near("range_min", lows, their_lows, 1e-6)
      .near("range_max", highs, their_highs, 1e-6)
      .near("scale", scales, c.golden.doubles("scale"), 1e-6)
      .near("zero", zeros, c.golden.doubles("zero"), 0)
      .near("mse", mean_squared(c.last, out), c.golden.number("achieved_mse").value(), 1e-3)
      .errors(c.last, out, c.golden.floats("out"))
      .outcome();
}

Outcome check_torch(const ObserverCase& c) {
  if (mentions(c.golden, "HistogramObserver")) return check_torch_histogram(c);
  const bool moving = mentions(c.golden, "MovingAverage");
  if (!moving && !mentions(c.golden, "MinMaxObserver")) return Outcome::fail("no rule covers its source");
  ObserverSpec spec{.name = moving ? "moving_average" : "minmax"};
  if (moving) spec.momentum = 1 - c.golden.number("averaging_constant").value();
  if (const auto axis = c.golden.integer("axis")) return check_torch_channels(c, spec, static_cast<std::size_t>(*axis));
  return compare_range(c, c.observe(spec)->range(c.bits, c.symmetric, false), moving ? 1e-6 : 0);
}

/// What could be compared was; the rest of the case is not taken.
Outcome not_taken(const Comparison& compared, const std::string& reason) {
  const Outcome outcome = compared.outcome();
  return outcome.kind == Outcome::Kind::failed ? outcome : Outcome::skip(reason);
}

bool starts_empty(std::span<const std::int64_t> counts, std::size_t first) {
  const auto start = counts.first(std::min(first, counts.size()));
  return std::all_of(start.begin(), start.end(), [](std::int64_t count) { return count == 0; });
}

/// The bin that the search finds on the reference's own histogram, and the threshold that the observer finds on ours.
Outcome check_modelopt_search(const ObserverCase& c, bool entropy) {
  constexpr int kFirst = 128;
  std::vector<std::int64_t> counts = c.golden.integers("q_histogram");
  const int levels = 1 << (c.bits - 1 + (c.golden.flag("unsigned") ? 1 : 0));
  double found = 0;
  if (entropy) {
    counts.at(0) = counts.at(1);  // so that ReLU's zeros do not count; here they are counted apart
    found = least_divergence_bins(counts, levels, kFirst);
  } else {
    found = least_error_bin(counts, levels - 1, kFirst) + 0.5;
  }
  const double width = c.golden.number("bin_width").value(), amax = c.golden.number("amax").value();
  const Affine q = c.observe({.name = entropy ? "entropy" : "mse:modelopt"})
                       ->quantizer(c.bits, c.symmetric && !c.golden.flag("unsigned"), true);
  const std::span<const float> all = c.batches.tensor.values<float>();
  std::vector<float> ours(all.size()), theirs(all.size());
  fake_quantize(q, all, ours);
  fake_quantize(c.theirs(), all, theirs);
  Comparison is(c.golden);
  if (entropy && starts_empty(counts, kFirst)) {
    is.at_most("squared error", mean_squared(all, ours), mean_squared(all, theirs), 1);
    return not_taken(is, "ModelOpt's entropy without small magnitudes takes its first 0 / 0 for the least divergence");
  }
  is.near("amax on the given histogram", found * width, amax, 0, 1e-2 * width);
  // Divergences hang on the layout of the bins; squared errors hardly do.
  if (!entropy) is.at_most("squared error", mean_squared(all, ours), mean_squared(all, theirs), 1.01);
  return is.errors(all, ours, theirs).outcome();
}

/// The range of a percentile, and that of one rank more where the rank is whole.
std::pair<Range, Range> percentile_ranges(const ObserverCase& c, double percentile, bool symmetric) {
  const auto find = [&](double p) {
    return c.observe({.name = "percentile", .percentile = p})->range(c.bits, symmetric, symmetric);
  };
  return {find(percentile), find(std::min(100.0, percentile + 1e-9))};
}

Outcome check_modelopt(const ObserverCase& c) {
  if (mentions(c.golden, "MaxCalibrator")) {
    const Range range = c.observe({.name = "minmax"})->range(c.bits, true, true);
    const float amax = std::max(-range.low, range.high);
    return compare_range(c, {c.one_sided ? 0 : -amax, amax}, 0);
  }
  if (mentions(c.golden, "compute_amax('entropy')")) return check_modelopt_search(c, true);
  if (mentions(c.golden, "compute_amax(\"mse\")")) return check_modelopt_search(c, false);
  const auto percentile = percentile_of(c.golden);
  if (!percentile) return Outcome::fail("no rule covers its source: " + c.golden.text("source"));
  const double width = c.golden.number("bin_width").value();
  const auto [range, next] = percentile_ranges(c, *percentile, true);
  // Their bin is that of the value, or of the next one where n p is whole and the sum of the shares falls short of it.
  const double theirs = c.high();
  const Range nearer = std::abs(next.high - theirs) < std::abs(range.high - theirs) ? next : range;
  return compare_threshold(c, nearer, theirs, 0, width * (1 + 1e-4));
}

Outcome check_brevitas(const ObserverCase& c) {
  if (mentions(c.golden, "AbsPercentile")) {
    const double percentile = c.golden.number("percentile").value();
    const Range range = c.observe({.name = "percentile:nearest", .percentile = percentile})->range(c.bits, true, true);
    return compare_range(c, {c.one_sided ? 0 : range.low, range.high}, 0);
  }
  if (!mentions(c.golden, "PercentileInterval")) return Outcome::fail("no rule covers its source");
  const double low = c.golden.number("low").value(), high = c.golden.number("high").value();
  if (std::abs(low + high - 100) > 1e-9) return Outcome::fail("no rule covers tails that differ");
  const Range range = c.observe({.name = "percentile:nearest", .percentile = high - low})->range(c.bits, false, false);
  constexpr double kRounded = 2e-7;  // they round low + (high - low) once more
  if (range.high < 0) {
    Comparison is(c.golden);
    is.near("range_min", range.low, c.low(), kRounded).near("range_max", range.high, c.high(), kRounded);
    return not_taken(is, "brevitas' interval of negative values leaves 0 out: its zero point is none of the codes");
  }
  return compare_range(c, range, kRounded);
}

/// AIMET's candidate; where two are nearly as good, the squared error must be as low.
Outcome check_aimet_sqnr(const ObserverCase& c) {
  const Affine q = c.observe({.name = "sqnr"})->quantizer(c.bits, c.symmetric, false);
  const Affine used = c.ours(q.scale, q.zero_point - (c.symmetric ? q.q_min : 0));
  const Comparison same = Comparison(c.golden)
                              .near("scale", q.scale, c.scale(), 1e-4)
                              .near("zero", used.zero_point, c.golden.doubles("zero").at(0), 0);
  const std::span<const float> all = c.batches.tensor.values<float>();
  const bool tie = same.outcome().kind != Outcome::Kind::passed;
  return Comparison(c.golden)
      .at_most("squared error" + std::string(tie ? " of another candidate" : ""), error_of(used, all),
               error_of(c.theirs(), all), 1.01)
      .outcome();
}

/// Ranges with each tail cut at their rank or one beside it. AIMET's percentile is of each tail, the ranks ceil(p n)
/// and ceil((1 - p) n) by float32 sums; ours is the share that a range holds, whose odd value is cut at the upper end.
std::vector<Range> tail_ranges(const ObserverCase& c, double percentile) {
  const double one = 100 / static_cast<double>(c.batches.count * c.batches.size);
  std::vector<Range> near, out;
  for (int step = -2; step <= 2; ++step)
    near.push_back(
        percentile_ranges(c, std::clamp(100 - 2 * (100 - percentile) + step * one, one, 100.0), false).second);
  for (const Range& low : near)
    for (const Range& high : near) out.push_back({low.low, high.high});
  return out;
}

Outcome check_aimet(const ObserverCase& c) {
  if (mentions(c.golden, "MinMaxEncodingAnalyzer"))
    return compare_range(c, c.observe({.name = "minmax"})->range(c.bits, c.symmetric, false), 1e-6);
  if (mentions(c.golden, "SqnrEncodingAnalyzer")) return check_aimet_sqnr(c);
  const auto percentile = percentile_of(c.golden);
  if (!mentions(c.golden, "PercentileEncodingAnalyzer") || !percentile)
    return Outcome::fail("no rule covers its source: " + c.golden.text("source"));
  const Range seen = c.observe({.name = "minmax"})->range(c.bits, false, false);
  const bool merged = c.batches.count > 1;  // spreads the bins of earlier batches over those of a wider range
  const double bin = (static_cast<double>(seen.high) - seen.low) / 2048 * (merged ? 2 : 1);
  double low = 0, high = 0, stretch = 1, least = HUGE_VAL;
  for (const Range& range : tail_ranges(c, *percentile)) {
    double from = std::min(range.low, 0.0F), to = std::max(range.high, 0.0F);
    if (c.symmetric) {
      const double below = std::ldexp(1, c.bits - 1), above = below - 1;
      const double delta = std::max(to / above, -from / below);
      stretch = below / above;
      from = -below * delta, to = above * delta;
    }
    const double apart = std::abs(from - c.low()) + std::abs(to - c.high());
    if (apart < least) least = apart, low = from, high = to;
  }
  const Affine q = c.ours((high - low) / (std::ldexp(1, c.bits) - 1), c.golden.doubles("zero").at(0));
  std::vector<float> out(c.last.size());
  fake_quantize(q, c.last, out);
  return Comparison(c.golden)
      .near("range_min", low, c.low(), 0, bin * stretch)
      .near("range_max", high, c.high(), 0, bin * stretch)
      .errors(c.last, out, c.golden.floats("out"))
      .outcome();
}

Outcome check_nncf(const ObserverCase& c) {
  const std::string name = mentions(c.golden, "MeanAggregator")     ? "batch_mean"
                           : mentions(c.golden, "MedianAggregator") ? "batch_median"
                           : mentions(c.golden, "MaxAggregator")    ? "batch_max"
                                                                    : "";
  if (name.empty()) return Outcome::fail("no rule covers its source: " + c.golden.text("source"));
  return compare_range(c, c.observe({.name = name})->range(c.bits, c.symmetric, false), 1e-6);
}

Outcome check_octav_clip(const ObserverCase& c) {
  const Range range = c.observe({.name = "octav"})->range(c.bits, c.symmetric && !c.one_sided, false);
  return compare_threshold(c, range, c.golden.number("threshold").value(), 1e-6, 0);
}

/// W x by rows: [out, in] and [tokens, in] give [tokens, out].
std::vector<float> linear(std::span<const float> weight, std::span<const float> x, std::size_t in) {
  std::vector<float> y;
  for (std::size_t t = 0; t < x.size() / in; ++t)
    for (std::size_t r = 0; r < weight.size() / in; ++r) {
      double sum = 0;
      for (std::size_t i = 0; i < in; ++i) sum += static_cast<double>(weight[r * in + i]) * x[t * in + i];
      y.push_back(static_cast<float>(sum));
    }
  return y;
}

/// x' = s clamp(rint(x / s), -128, 127) with a true division, as quanto does; fake_quantize multiplies by 1 / s, and a
/// single tie that goes the other way moves the largest output by more than the tolerance.
std::vector<float> divided(std::span<const float> x, float scale) {
  std::vector<float> out;
  for (const float value : x) out.push_back(scale * std::clamp(std::nearbyint(value / scale), -128.0F, 127.0F));
  return out;
}

/// int8 by row of absmax, as quanto quantizes weights.
std::vector<float> by_row(std::span<const float> weight, std::size_t in) {
  ChannelObserver observer({.name = "minmax"}, static_cast<std::int64_t>(weight.size() / in));
  observer.observe(weight, static_cast<std::int64_t>(in));
  std::vector<float> out;
  for (const Affine& row : observer.quantizers(8, true, true))
    for (const float value : divided(weight.subspan(out.size(), in), row.scale)) out.push_back(value);
  return out;
}

}  // namespace

/// Scales after each batch of linear, ReLU, linear with the inputs of both and the output of the first quantized.
/// quanto takes momentum 0.9 for inputs whatever is asked for; here each observer has the momentum that it is given.
Outcome check_quanto_calibration(const GoldenCase& golden) {
  if (golden.integer("bits") != 8 || !golden.flag("symmetric")) return Outcome::fail("no rule covers its quantizer");
  constexpr double kInputMomentum = 0.9;
  const Batches batches(golden.array("act_batches"));
  const auto in = static_cast<std::size_t>(golden.shape("weight1").at(1));
  const std::vector<float> weight = by_row(golden.floats("weight1"), in);
  const auto& entry = find_observer("absmax_average");
  const auto input = entry.make({.momentum = kInputMomentum}), input2 = entry.make({.momentum = kInputMomentum}),
             output = entry.make({.momentum = golden.number("momentum").value()});
  std::vector<double> inputs, outputs, inputs2;
  const auto scale_of = [](const Observer& observer) { return double{observer.quantizer(8, true, false).scale}; };
  for (std::size_t b = 0; b < batches.count; ++b) {
    input->observe(batches[b]);
    std::vector<float> y = linear(weight, divided(batches[b], input->quantizer(8, true, false).scale), in);
    output->observe(y);
    for (float& value : y) value = std::max(value, 0.0F);
    input2->observe(y);
    inputs.push_back(scale_of(*input));
    outputs.push_back(scale_of(*output));
    inputs2.push_back(scale_of(*input2));
  }
  const std::vector<float> x = golden.floats("x");
  const std::vector<float> out = divided(x, input->quantizer(8, true, false).scale);
  return Comparison(golden)
      .near("input scale", inputs, golden.doubles("input_scale_per_batch"), 1e-6)
      .near("output scale", outputs, golden.doubles("output_scale_per_batch"), 1e-5)
      .near("input scale of the second layer", inputs2, golden.doubles("input_scale2_per_batch"), 1e-5)
      .near("out", out, golden.floats("out"), 1e-6)
      .errors(x, out, golden.floats("out"))
      .outcome();
}

Outcome check_observers(const GoldenCase& golden) {
  const ObserverCase c(golden);
  const std::string source = golden.text("source");
  if (source.starts_with("torch==")) return check_torch(c);
  if (source.starts_with("nvidia-modelopt")) return check_modelopt(c);
  if (source.starts_with("brevitas")) return check_brevitas(c);
  if (source.starts_with("aimet-torch")) return check_aimet(c);
  if (source.starts_with("nncf")) return check_nncf(c);
  if (source.starts_with("formula") && golden.number("threshold")) return check_octav_clip(c);
  return Outcome::fail("no rule covers its source: " + source);
}

}  // namespace bitplan::test
