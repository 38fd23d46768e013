#include "quant/layer_quantizer.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <optional>

#include "core/error.hpp"
#include "quant/integer_steps.hpp"
#include "quant/math/finite.hpp"
#include "quant/moments/centred_moments.hpp"
#include "quant/output_judge.hpp"
#include "quant/rewrites/awq.hpp"
#include "quant/rewrites/smoothquant.hpp"
#include "quant/roundings/level_roundings.hpp"
#include "quant/roundings/roundings.hpp"
#include "quant/weight_rows.hpp"

namespace bitplan {
namespace {

/// The nearest number of half precision; beyond its range the largest.
float to_half(float x) {
  if (x == 0) return x;
  const int exponent = std::max(std::ilogb(x), -14);
  return std::clamp(std::ldexp(std::nearbyint(std::ldexp(x, 10 - exponent)), exponent - 10), -65504.0F, 65504.0F);
}

/// Appends what belongs to the rows of one group.
void append(QuantizedWeight& all, const QuantizedWeight& part) {
  const auto add = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  visit_row_arrays(all, part, add);
  add(all.salient, part.salient);
}

/// The values that the network computes with, by row: columns may be scaled, those in float are of the original.
std::vector<float> network_values(const QuantizedWeight& weight, const std::vector<float>& original,
                                  std::int64_t columns, const std::vector<std::int32_t>& float_columns) {
  std::vector<float> out = weight.values;
  const std::vector<float>& scales = weight.column_scales;
  for (std::size_t v = 0; v < out.size() && !scales.empty(); ++v) out[v] /= scales[v % scales.size()];
  for (const auto c : float_columns)
    for (auto i = static_cast<std::size_t>(c); i < out.size(); i += static_cast<std::size_t>(columns))
      out[i] = to_half(original[i]);
  return out;
}

enum class Step : std::uint8_t { gain, output_range, rounding, refit };

std::vector<Step> steps_of(const Choice& choice) {
  std::vector<Step> steps;
  if (choice.gain) steps.push_back(Step::gain);
  if (choice.range == RangeMethod::output) steps.push_back(Step::output_range);
  if (choice.rounding != roundings().front().name) steps.push_back(Step::rounding);
  if (choice.refit) steps.push_back(Step::refit);
  return steps;
}

/// Whether a step's rows may stay as they were: not where the codes then mean something else, and hqq sees no data.
bool can_compare(const Choice& choice, Step step) {
  if (step != Step::rounding) return true;
  if (choice.is_integer()) return find_rounding(choice.rounding).grid != Rounding::Grid::zero_points;
  return !level_rounding_named(choice.rounding)->has_own_levels;
}

/// A layer whose columns in float are as they are, and without them.
struct WholeAndKept {
  LayerRows whole;
  std::optional<LayerRows> without_float;  ///< where there are such columns

  WholeAndKept(const LayerWeight& weight, std::shared_ptr<const LayerMoments> moments, bool centred,
               const std::vector<std::int32_t>& float_columns)
      : whole(LayerRows::of(weight, std::move(moments), centred)) {
    if (!float_columns.empty()) without_float = whole.without(float_columns);
  }
  const LayerRows& kept() const { return without_float ? *without_float : whole; }
};

/// A layer on its way through the steps of a choice. Arrays are by row.
class LayerQuantizer {
 public:
  /// seen: what methods work on; judged: what their results are judged by, with the columns in float. All must outlive
  /// this.
  LayerQuantizer(const LayerRows& seen, const LayerRows& judged, const Choice& choice,
                 const std::vector<std::int32_t>& float_columns, bool with_awq)
      : seen_(seen), judged_(judged), choice_(choice), plain_(choice), float_columns_(float_columns) {
    plain_.gain = false;
    if (choice.range == RangeMethod::output)
      plain_.range = choice.symmetric ? RangeMethod::absmax : RangeMethod::minmax;
    if (with_awq)
      scale_columns();
    else
      now_.weight = nearest(seen_, plain_);
  }

  void take(Step step) {
    const LayerRows& layer = scaled();
    switch (step) {
      case Step::gain:
        return keep_better(nearest(layer, choice_));
      case Step::output_range:
        return keep_better(ranges_by_output(layer, plain_, now_.weight));
      case Step::refit:
        return keep_better(refitted(layer, choice_, now_.weight));
      case Step::rounding:
        break;
    }
    QuantizedWeight next = choice_.is_integer()
                               ? rounded_codes(layer, choice_, find_rounding(choice_.rounding), now_.weight)
                               : rounded_levels(layer, plain_);
    if (can_compare(choice_, step))
      keep_better(std::move(next));
    else
      replace(std::move(next));
    if (choice_.gain && !choice_.is_integer()) keep_better(rounded_levels(layer, choice_));
  }

  /// Rows that would have been better off without the bias become those of the layer without it.
  void hold_below_unbiased(const LayerQuantizer& unbiased) {
    judge_now();
    hold_below(now_, judged(unbiased.now_.weight));
  }

  QuantizedWeight result() && { return std::move(now_.weight); }

 private:
  const OutputJudge& judge() {
    if (!judge_) judge_.emplace(judged_);
    return *judge_;
  }
  JudgedWeight judged(QuantizedWeight weight) {
    JudgedWeight out{std::move(weight), {}};
    out.errors = judge().errors(network_values(out.weight, judged_.weights, judged_.columns, float_columns_));
    return out;
  }

  void judge_now() {
    if (now_.errors.empty()) now_ = judged(std::move(now_.weight));
  }

  void replace(QuantizedWeight next) {
    next.column_scales = now_.weight.column_scales;
    now_ = {std::move(next), {}};
  }

  void keep_better(QuantizedWeight next) {
    next.column_scales = now_.weight.column_scales;
    judge_now();
    take_better(now_, judged(std::move(next)));
  }

  /// The rows and inputs that the weight's codes are of.
  const LayerRows& scaled() {
    const std::vector<float>& scales = now_.weight.column_scales;
    if (scales.empty()) return seen_;
    if (!scaled_ || scales != scaled_by_) scaled_ = seen_.scaled(scales), scaled_by_ = scales;
    return *scaled_;
  }

  /// Of awq's ratios the one whose nearest rounding has the least output error; scales of 1 where none has less than
  /// without.
  void scale_columns() {
    const std::int64_t group = choice_.granularity.kind == Granularity::Kind::group ? choice_.granularity.group : 0;
    const std::vector<float> means = awq_weight_means(seen_.weights, seen_.columns, group);
    const std::vector<float> energies = seen_.energies(0);
    const auto total = [](const JudgedWeight& of, double RowError::*part) {
      return std::accumulate(of.errors.begin(), of.errors.end(), 0.0,
                             [&](double sum, const RowError& error) { return sum + error.*part; });
    };
    now_ = judged(nearest(seen_, plain_));
    now_.weight.column_scales.assign(static_cast<std::size_t>(seen_.columns), 1.0F);
    double least = total(now_, &RowError::plain);
    for (int i = 0; i <= 10; ++i) {
      const std::vector<float> scales = awq_scales(seen_.moments->abs_mean[0], means, i / 10.0);
      std::vector<float> scaled_energies = energies;
      for (std::size_t c = 0; c < energies.size(); ++c) scaled_energies[c] /= scales[c] * scales[c];
      const std::vector<float> columns = scaled_columns(seen_.weights, scales);
      if (!all_finite(columns) || !all_finite(scaled_energies)) continue;  // float32 has no such layer
      QuantizedWeight weight =
          quantize_weight(columns, view(seen_, seen_.groups), plain_,
                          choice_.range == RangeMethod::wmse ? scaled_energies : std::vector<float>());
      weight.column_scales = scales;
      JudgedWeight next = judged(std::move(weight));
      const double error = total(next, &RowError::plain);
      if (error + total(next, &RowError::unknown) < least) least = error, now_ = std::move(next);
    }
  }

  static WeightView view(const LayerRows& layer, std::int64_t groups) {
    return {1, layer.rows * groups, layer.columns, groups};
  }
  std::vector<float> importance(const LayerRows& layer, std::int64_t group) const {
    return choice_.range == RangeMethod::wmse ? layer.energies(group) : std::vector<float>();
  }
  /// Groups of a convolution differ in nothing else; formats may have a number for the whole tensor (nvfp4).
  bool has_own_energies() const {
    return seen_.groups > 1 && choice_.range == RangeMethod::wmse &&
           choice_.granularity.kind != Granularity::Kind::tensor;
  }

  /// Format, granularity and range, without the rest.
  QuantizedWeight nearest(const LayerRows& layer, const Choice& choice) const {
    if (!has_own_energies())
      return quantize_weight(layer.weights, view(layer, layer.groups), choice, importance(layer, -1));
    QuantizedWeight out;
    for (std::int64_t g = 0; g < layer.groups; ++g)
      append(out, quantize_weight(layer.of_group(layer.weights, g), view(layer, 1), choice, importance(layer, g)));
    return out;
  }

  /// Formats other than integers, whose rounding fits its own grids.
  QuantizedWeight rounded_levels(const LayerRows& layer, const Choice& choice) const {
    const LevelRounding& rounding = *level_rounding_named(choice_.rounding);
    const LayerMoments& moments = layer.moments->weighted ? *layer.moments->weighted : *layer.moments;
    if (!has_own_energies())
      return rounding.round(layer.weights, view(layer, layer.groups), choice, moments, importance(layer, -1),
                            layer.share(), layer.threads, layer.stop);
    QuantizedWeight out;
    for (std::int64_t g = 0; g < layer.groups; ++g) {
      const auto at = static_cast<std::size_t>(g);
      LayerMoments own;
      own.columns = layer.columns;
      own.rows = moments.rows;
      own.gram = {moments.gram[at]};
      if (!moments.cross.empty()) own.cross = {moments.cross[at]};
      append(out, rounding.round(layer.of_group(layer.weights, g), view(layer, 1), choice, own, importance(layer, g),
                                 layer.share(), layer.threads, layer.stop));
    }
    return out;
  }

  const LayerRows &seen_, &judged_;
  const Choice& choice_;
  Choice plain_;  ///< without gain, and with the range that one by outputs begins with
  const std::vector<std::int32_t>& float_columns_;
  JudgedWeight now_;  ///< errors: empty until they are asked for
  std::optional<OutputJudge> judge_;
  std::optional<LayerRows> scaled_;
  std::vector<float> scaled_by_;
};

/// The elements of the reduction where the largest inputs enter.
std::vector<std::int32_t> outlier_columns(const LayerWeight& weight, const Choice& choice) {
  if (!(choice.outliers > 0)) return {};
  std::vector<float> largest(static_cast<std::size_t>(weight.view.per_channel()));
  for (const auto& of_group : weight.moments->abs_max)
    for (std::size_t c = 0; c < largest.size(); ++c) largest[c] = std::max(largest[c], of_group[c]);
  std::vector<std::int32_t> order(largest.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
    return largest[static_cast<std::size_t>(a)] > largest[static_cast<std::size_t>(b)];
  });
  order.resize(static_cast<std::size_t>(float_columns(weight.view, choice)));
  std::sort(order.begin(), order.end());
  return order;
}

/// The weight after every step of the choice.
QuantizedWeight quantize_rows(const LayerWeight& weight, const Choice& choice,
                              const std::vector<std::int32_t>& float_columns) {
  const std::shared_ptr<const LayerMoments> given(std::shared_ptr<void>(), weight.moments);
  const WholeAndKept about_zero(weight, given, false, float_columns);
  const std::vector<Step> steps = steps_of(choice);
  const bool awq = choice.awq && about_zero.whole.groups == 1;
  const bool judged = awq || std::ranges::any_of(steps, [&](Step step) { return can_compare(choice, step); });
  LayerQuantizer unbiased(about_zero.kept(), about_zero.whole, choice, float_columns, awq);
  if (!judged || choice.bias != BiasCorrection::empirical) {
    for (const Step step : steps) unbiased.take(step);
    return std::move(unbiased).result();
  }
  const auto beside_bias = std::make_shared<const LayerMoments>(centred(*weight.moments));
  const WholeAndKept about_means(weight, beside_bias, true, float_columns);
  LayerQuantizer biased(choice.is_integer() ? about_means.kept() : about_zero.kept(), about_means.whole, choice,
                        float_columns, awq);
  if (awq) biased.hold_below_unbiased(unbiased);
  for (const Step step : steps) {
    unbiased.take(step);
    biased.take(step);
    biased.hold_below_unbiased(unbiased);
  }
  return std::move(biased).result();
}

/// Columns in float, bits, and the order of the tensor.
void finish(const LayerWeight& weight, const Choice& choice, QuantizedWeight& out) {
  const std::vector<float> original = to_rows(weight.values, weight.view);
  out.values = network_values(out, original, weight.view.per_channel(), out.float_columns);
  double sum = 0;
  for (std::size_t i = 0; i < original.size(); ++i) {
    const double error = static_cast<double>(out.values[i]) - original[i];
    sum += error * error;
  }
  out.mse = original.empty() ? 0 : sum / static_cast<double>(original.size());
  out.stored_bits = stored_bits(weight.view, choice);
  out.codes = from_rows(out.codes, weight.view);
  out.values = from_rows(out.values, weight.view);
}

}  // namespace

QuantizedWeight quantize_layer(const LayerWeight& weight, const Choice& choice) {
  if (!choice.is_prepared() || choice.is_float || weight.values.empty()) {
    return quantize_weight(weight.values, weight.view, choice);
  }
  if (choice.needs_data() && weight.moments == nullptr)
    throw InputError("choice '" + choice.label + "' needs the layer's inputs");
  if (choice.bias == BiasCorrection::analytic && weight.expected == nullptr)
    throw InputError("choice '" + choice.label +
                     "' needs the means that batch normalisations give the layer's inputs: it exists for layers of a "
                     "network; +bias takes the means from data");
  assert(weight.expected == nullptr || std::ssize(*weight.expected) % weight.view.per_channel() == 0);
  assert(weight.moments == nullptr ||
         (weight.moments->columns == weight.view.per_channel() && weight.view.channels % weight.moments->groups == 0));
  const std::vector<std::int32_t> float_columns = outlier_columns(weight, choice);
  QuantizedWeight out = quantize_rows(weight, choice, float_columns);
  out.float_columns = float_columns;
  finish(weight, choice, out);
  if (choice.bias == BiasCorrection::empirical)
    out.bias = empirical_bias(weight.view, weight.values, out.values, *weight.moments);
  if (choice.bias == BiasCorrection::analytic)
    out.bias = mean_difference(weight.view, weight.values, out.values, *weight.expected);
  return out;
}

}  // namespace bitplan
