#include "quant/layer_quantizer.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "core/error.hpp"
#include "quant/awq.hpp"
#include "quant/centred_moments.hpp"
#include "quant/layer_loss.hpp"
#include "quant/level_roundings.hpp"
#include "quant/output_range.hpp"
#include "quant/refit.hpp"
#include "quant/roundings.hpp"
#include "quant/smoothquant.hpp"
#include "quant/weight_range.hpp"
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
void append(QuantizedWeight& all, QuantizedWeight&& part) {
  const auto add = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  add(all.codes, part.codes);
  add(all.scales, part.scales);
  add(all.zero_points, part.zero_points);
  add(all.code_book, part.code_book);
  add(all.offsets, part.offsets);
  add(all.values, part.values);
  add(all.salient, part.salient);
}

/// Quantizes rows, the channels of the layer, group by group of the convolution.
class LayerQuantizer {
 public:
  LayerQuantizer(const LayerWeight& weight, const Choice& choice, bool moments_are_centred)
      : weight_(weight),
        choice_(choice),
        plain_(choice),
        moments_(weight.moments),
        centred_(moments_are_centred),
        groups_(moments_ ? moments_->groups : 1),
        columns_(weight.view.per_channel()),
        rows_(weight.view.channels / groups_),
        rounding_(rounding_named(choice.rounding)) {
    plain_.gain = false;
    if (choice.range == RangeMethod::output)
      plain_.range = choice.symmetric ? RangeMethod::absmax : RangeMethod::minmax;
  }

  QuantizedWeight run() {
    const std::vector<float> original = to_rows(weight_.values, weight_.view);
    QuantizedWeight out;
    std::vector<float> rows = original;
    out.float_columns = outliers();
    for (const auto c : out.float_columns)
      for (std::size_t i = static_cast<std::size_t>(c); i < rows.size(); i += static_cast<std::size_t>(columns_))
        rows[i] = 0;
    LayerMoments others;
    const LayerQuantizer rest = without(out.float_columns, others);
    if (choice_.awq && groups_ == 1) out.column_scales = rest.column_scales(rows);
    rest.quantize_into(out, rows);
    for (const auto c : out.float_columns)
      for (std::size_t i = static_cast<std::size_t>(c); i < rows.size(); i += static_cast<std::size_t>(columns_))
        out.values[i] = to_half(original[i]);
    finish(out, original);
    if (choice_.bias == BiasCorrection::empirical)
      out.bias = empirical_bias(weight_.view, weight_.values, out.values, *moments_);
    if (choice_.bias == BiasCorrection::analytic)
      out.bias = mean_difference(weight_.view, weight_.values, out.values, *weight_.expected);
    return out;
  }

 private:
  void finish(QuantizedWeight& out, const std::vector<float>& original) const {
    double sum = 0;
    for (std::size_t i = 0; i < original.size(); ++i) {
      const double error = static_cast<double>(out.values[i]) - original[i];
      sum += error * error;
    }
    out.mse = original.empty() ? 0 : sum / static_cast<double>(original.size());
    out.stored_bits = stored_bits(weight_.view, choice_);
    out.codes = from_rows(out.codes, weight_.view);
    out.values = from_rows(out.values, weight_.view);
  }

  /// Where the largest inputs enter.
  std::vector<std::int32_t> outliers() const {
    std::vector<float> largest(static_cast<std::size_t>(choice_.outliers > 0 ? columns_ : 0));
    for (std::size_t g = 0; g < static_cast<std::size_t>(groups_) && !largest.empty(); ++g)
      for (std::size_t c = 0; c < largest.size(); ++c) largest[c] = std::max(largest[c], moments_->abs_max[g][c]);
    std::vector<std::int32_t> order(largest.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
      return largest[static_cast<std::size_t>(a)] > largest[static_cast<std::size_t>(b)];
    });
    order.resize(static_cast<std::size_t>(float_columns(weight_.view, choice_)));
    std::sort(order.begin(), order.end());
    return order;
  }

  std::span<const float> of_group(const std::vector<float>& rows, std::int64_t group) const {
    const auto size = static_cast<std::size_t>(rows_ * columns_);
    return std::span(rows).subspan(static_cast<std::size_t>(group) * size, size);
  }

  WeightView view(std::int64_t rows) const { return {1, rows, columns_, groups_}; }

  /// Format, granularity and range, without the rest.
  QuantizedWeight nearest(std::span<const float> rows, std::int64_t group, const Choice& choice) const {
    return quantize_weight(rows, view(static_cast<std::int64_t>(rows.size()) / std::max<std::int64_t>(1, columns_)),
                           choice, energies(group));
  }

  /// E x^2 by column, mean of the groups for a negative one; empty when no range asks for it.
  std::vector<float> energies(std::int64_t group) const {
    std::vector<float> sums;
    if (choice_.range != RangeMethod::wmse) return sums;
    sums.resize(static_cast<std::size_t>(columns_));
    const std::int64_t first = std::max<std::int64_t>(0, group), last = group < 0 ? groups_ : group + 1;
    for (std::int64_t g = first; g < last; ++g)
      for (std::size_t c = 0; c < sums.size(); ++c)
        sums[c] +=
            moments_->gram[static_cast<std::size_t>(g)][c * (sums.size() + 1)] / static_cast<float>(last - first);
    return sums;
  }

  /// A problem with the group's moments and no grid yet.
  RoundingProblem problem(std::span<const float> rows, std::int64_t group) const {
    RoundingProblem problem{rows_, columns_, rows, {}, {}, {}, weight_.threads, weight_.stop};
    const auto g = static_cast<std::size_t>(group);
    if (moments_ == nullptr) return problem;
    problem.gram = moments_->gram[g];
    if (!moments_->cross.empty()) problem.cross = moments_->cross[g];
    problem.grid.scales.assign(static_cast<std::size_t>(rows_), 1);
    problem.grid.zero_points.resize(problem.grid.scales.size());
    problem.grid.group_of = neighbour_groups(columns_, 0);
    return problem;
  }

  std::vector<float> column_scales(const std::vector<float>& rows) const {
    const RoundingProblem asked = problem(rows, 0);
    const LayerLoss loss(asked);
    const std::int64_t group = choice_.granularity.kind == Granularity::Kind::group ? choice_.granularity.group : 0;
    const std::vector<float> means = awq_weight_means(rows, columns_, group);
    std::vector<float> best;
    double least = loss.of(nearest(rows, 0, plain_).values);
    for (int i = 0; i <= 10; ++i) {
      std::vector<float> scales = awq_scales(moments_->abs_mean[0], means, i / 10.0);
      std::vector<float> importance = energies(0);
      for (std::size_t c = 0; c < importance.size(); ++c) importance[c] /= scales[c] * scales[c];
      std::vector<float> values = quantize_weight(scaled_columns(rows, scales), view(rows_), plain_, importance).values;
      for (std::size_t v = 0; v < values.size(); ++v) values[v] /= scales[v % scales.size()];
      if (const double now = loss.of(values); now < least) least = now, best = std::move(scales);
    }
    if (best.empty()) best.assign(static_cast<std::size_t>(columns_), 1.0F);
    return best;
  }

  void quantize_into(QuantizedWeight& out, const std::vector<float>& rows) const {
    const std::vector<float> scaled =
        out.column_scales.empty() || rows.empty() ? rows : scaled_columns(rows, out.column_scales);
    LayerMoments moved;
    const LayerQuantizer on_scaled = with_moments(out.column_scales, moved);
    on_scaled.quantize_rows(out, scaled);
    for (std::size_t v = 0; v < out.values.size() && !out.column_scales.empty(); ++v)
      out.values[v] /= out.column_scales[v % out.column_scales.size()];
  }

  /// This, with inputs of 0 where columns are in float: nothing may be made up for by what is not kept.
  LayerQuantizer without(const std::vector<std::int32_t>& float_columns, LayerMoments& others) const {
    LayerQuantizer copy = *this;
    if (float_columns.empty()) return copy;
    const auto width = static_cast<std::size_t>(columns_);
    others = changed(*moments_, [&](LayerMoments& of) {
      for (auto* matrices : {&of.gram, &of.cross})
        for (auto& matrix : *matrices)
          for (const auto column : float_columns)
            for (std::size_t i = 0, c = static_cast<std::size_t>(column); i < width; ++i)
              matrix[i * width + c] = matrix[c * width + i] = 0;
      for (auto* means : {&of.mean, &of.float_mean})
        for (auto& mean : *means)
          for (const auto column : float_columns) mean[static_cast<std::size_t>(column)] = 0;
    });
    copy.moments_ = &others;
    return copy;
  }

  /// This, with the moments of inputs divided by the scales.
  LayerQuantizer with_moments(const std::vector<float>& scales, LayerMoments& moved) const {
    LayerQuantizer copy = *this;
    if (scales.empty()) return copy;
    const auto divide = [&](std::vector<float>& matrix) {
      for (std::size_t i = 0; i < matrix.size(); ++i)
        matrix[i] /= scales[i / scales.size()] * scales[i % scales.size()];
    };
    moved = changed(*moments_, [&](LayerMoments& of) {
      for (auto& matrix : of.gram) divide(matrix);
      for (auto& matrix : of.cross) divide(matrix);
      for (auto* means : {&of.mean, &of.float_mean})
        for (auto& mean : *means)
          for (std::size_t c = 0; c < mean.size(); ++c) mean[c] /= scales[c];
    });
    copy.moments_ = &moved;
    return copy;
  }

  /// Groups of a convolution differ in nothing else; formats may have a number for the whole tensor (nvfp4).
  bool has_own_energies() const {
    return groups_ > 1 && choice_.range == RangeMethod::wmse && choice_.granularity.kind != Granularity::Kind::tensor;
  }

  void quantize_rows(QuantizedWeight& out, const std::vector<float>& rows) const {
    if (!has_own_energies()) {
      quantize_groups(out, rows, nearest(rows, -1, plain_),
                      choice_.gain ? nearest(rows, -1, choice_) : QuantizedWeight());
      return;
    }
    QuantizedWeight plain, gained;
    for (std::int64_t g = 0; g < groups_; ++g) {
      append(plain, nearest(of_group(rows, g), g, plain_));
      if (choice_.gain) append(gained, nearest(of_group(rows, g), g, choice_));
    }
    quantize_groups(out, rows, std::move(plain), std::move(gained));
  }

  /// Gain and rounding on the grids of nearest rounding.
  void quantize_groups(QuantizedWeight& out, const std::vector<float>& rows, QuantizedWeight plain,
                       QuantizedWeight gained) const {
    if (choice_.gain) take_better(rows, plain, gained);
    if (choice_.range == RangeMethod::output && !rows.empty()) plain = range_on_outputs(rows, plain);
    if (choice_.rounding != roundings().front().name && !rows.empty())
      plain = choice_.is_integer() ? round(rows, plain) : round_levels(rows);
    if (choice_.refit && !rows.empty()) plain = refitted(rows, plain);
    append(out, std::move(plain));
  }

  /// Rows of `other` where their output error is smaller; the whole tensor where it has one scale.
  void take_better(const std::vector<float>& rows, QuantizedWeight& base, const QuantizedWeight& other) const {
    std::vector<double> before, after;
    for (std::int64_t g = 0; g < groups_ && !rows.empty(); ++g) {
      const RoundingProblem asked = problem(of_group(rows, g), g);
      const LayerLoss loss(asked);
      const auto add = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
      add(before, loss.of_rows(of_group(base.values, g)));
      add(after, loss.of_rows(of_group(other.values, g)));
    }
    if (choice_.granularity.kind == Granularity::Kind::tensor) {
      if (std::accumulate(after.begin(), after.end(), 0.0) < std::accumulate(before.begin(), before.end(), 0.0))
        base = other;
      return;
    }
    const std::size_t parts = base.scales.size() / std::max<std::size_t>(1, before.size());
    for (std::size_t r = 0; r < before.size(); ++r) {
      if (!(after[r] < before[r])) continue;
      const auto copy = [r](auto& to, const auto& from, std::size_t width) {
        if (!from.empty())
          std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(r * width), width,
                      to.begin() + static_cast<std::ptrdiff_t>(r * width));
      };
      copy(base.values, other.values, static_cast<std::size_t>(columns_));
      copy(base.codes, other.codes, static_cast<std::size_t>(columns_));
      copy(base.scales, other.scales, parts);
      copy(base.zero_points, other.zero_points, parts);
      copy(base.offsets, other.offsets, parts);
      copy(base.code_book, other.code_book, other.code_book.size() / before.size());
    }
  }

  /// The grid of nearest rounding for the rows of one group.
  RoundingGrid grid_of(const QuantizedWeight& start, std::int64_t group) const {
    RoundingGrid grid;
    const std::int32_t half = 1 << (choice_.bits - 1);
    grid.q_min = choice_.symmetric ? -half + (choice_.narrow ? 1 : 0) : 0;
    grid.q_max = choice_.symmetric ? half - 1 : 2 * half - 1;
    const bool tensor = choice_.granularity.kind == Granularity::Kind::tensor;
    const std::int64_t run = choice_.granularity.kind == Granularity::Kind::group
                                 ? std::min<std::int64_t>(choice_.granularity.group, columns_)
                                 : columns_;
    grid.groups = (columns_ + run - 1) / run;
    grid.group_of = neighbour_groups(columns_, run);
    for (std::int64_t i = 0; i < rows_ * grid.groups; ++i) {
      const auto part = static_cast<std::size_t>(tensor ? 0 : group * rows_ * grid.groups + i);
      grid.scales.push_back(start.scales[part]);
      if (!start.offsets.empty())
        grid.zero_points.push_back(start.offsets[part]);
      else
        grid.zero_points.push_back(start.zero_points.empty() ? 0.0F : static_cast<float>(start.zero_points[part]));
    }
    return grid;
  }

  QuantizedWeight round(const std::vector<float>& rows, const QuantizedWeight& start) const {
    return solve(rows, start, [&](RoundingProblem& asked, const RoundingProblem& judged, std::int64_t g) {
      if (!rounding_->needs_gram) asked.gram = asked.cross = {};
      if (choice_.granularity.kind == Granularity::Kind::group && finds_parts_alone(choice_.range) && !choice_.gain)
        asked.find_part = [this](std::span<const float> part) {
          const FitGrid grid = part_grid(part, plain_);
          return ScaleZero{grid.scale, grid.zero};
        };
      RoundedWeight rounded = round_with(*rounding_, asked);
      const bool comparable = rounding_->grid != Rounding::Grid::zero_points && !judged.gram.empty();
      return comparable ? better_than_start(start, judged, std::move(rounded), g) : rounded;
    });
  }

  QuantizedWeight range_on_outputs(const std::vector<float>& rows, const QuantizedWeight& start) const {
    return solve(rows, start, [this](const RoundingProblem& asked, const RoundingProblem& judged, std::int64_t g) {
      return better(judged, round_nearest(judged), range_by_output(asked), g);
    });
  }

  QuantizedWeight refitted(const std::vector<float>& rows, const QuantizedWeight& start) const {
    return solve(rows, start, [&](const RoundingProblem& asked, const RoundingProblem& judged, std::int64_t g) {
      const RoundedWeight before = of_group(start, judged, g);
      return better(judged, before, refit(asked, before), g);
    });
  }

  static RoundedWeight of_group(const QuantizedWeight& start, const RoundingProblem& judged, std::int64_t group) {
    const std::size_t size = judged.weights.size(), first = static_cast<std::size_t>(group) * size;
    const auto of = [&](const auto& all) {
      return std::vector(all.begin() + static_cast<std::ptrdiff_t>(first),
                         all.begin() + static_cast<std::ptrdiff_t>(first + size));
    };
    return {of(start.codes), judged.grid, of(start.values), 0, 0};
  }

  RoundedWeight refit(const RoundingProblem& problem, const RoundedWeight& before) const {
    if (!choice_.has_offsets()) return refit_scales(problem, before);
    const bool any = choice_.range != RangeMethod::fit;  // HQQ's are stored with 32 bits
    const FitCodes codes = FitCodes::of(choice_.bits, false, false);
    return refit_zero_points(problem, before,
                             [=](double zero) { return any ? static_cast<float>(zero) : codes.storable(zero); });
  }

  /// No worse than nearest rounding on the grid, nor than the values there are: a gain changes scales, not codes, so
  /// that these are not the nearest on its grid.
  RoundedWeight better_than_start(const QuantizedWeight& start, const RoundingProblem& judged, RoundedWeight now,
                                  std::int64_t group) const {
    now = better(judged, round_nearest(judged), std::move(now), group);
    return choice_.gain ? better(judged, of_group(start, judged, group), std::move(now), group) : now;
  }

  /// Rows of `now` where neither output error, nor that of weighted tokens, is larger than before.
  RoundedWeight better(const RoundingProblem& judged, const RoundedWeight& before, RoundedWeight now,
                       std::int64_t group) const {
    now = better_rows(judged, before, std::move(now));
    if (!moments_->weighted) return now;
    RoundingProblem weighted = judged;
    weighted.gram = moments_->weighted->gram[static_cast<std::size_t>(group)];
    if (!judged.cross.empty()) weighted.cross = moments_->weighted->cross[static_cast<std::size_t>(group)];
    return better_rows(weighted, before, std::move(now));
  }

  /// Codes by a method that gets each group's problem with shrunk moments (weighted ones where there are), and with the
  /// true ones to judge by.
  template <class Method>
  QuantizedWeight solve(const std::vector<float>& rows, const QuantizedWeight& start, const Method& method) const {
    QuantizedWeight out;
    const bool tensor = choice_.granularity.kind == Granularity::Kind::tensor;
    for (std::int64_t g = 0; g < groups_; ++g) {
      RoundingProblem judged = problem(of_group(rows, g), g);
      judged.grid = grid_of(start, g);
      RoundingProblem asked = judged;
      const auto at = static_cast<std::size_t>(g);
      std::vector<float> gram, cross;
      if (moments_ != nullptr) {
        const LayerMoments& seen = moments_->weighted ? *moments_->weighted : *moments_;
        gram = shrunk(seen, seen.gram[at], &LayerMoments::mean, at);
        if (!seen.cross.empty()) cross = shrunk(seen, seen.cross[at], &LayerMoments::float_mean, at);
      }
      asked.gram = gram, asked.cross = cross;
      RoundedWeight rounded = method(asked, judged, g);
      QuantizedWeight part;
      part.codes = std::move(rounded.codes);
      part.values = std::move(rounded.values);
      if (!tensor) part.scales = std::move(rounded.grid.scales);
      if (choice_.has_offsets() && !tensor)
        part.offsets = std::move(rounded.grid.zero_points);
      else if (!tensor)
        for (const float z : rounded.grid.zero_points) part.zero_points.push_back(static_cast<std::int32_t>(z));
      append(out, std::move(part));
    }
    if (tensor) out.scales = start.scales, out.zero_points = start.zero_points, out.offsets = start.offsets;
    return out;
  }

  /// Formats other than integers, whose rounding fits its own grids.
  QuantizedWeight round_levels(const std::vector<float>& rows) const {
    QuantizedWeight out = round_levels(rows, plain_);
    if (choice_.gain) take_better(rows, out, round_levels(rows, choice_));
    return out;
  }

  QuantizedWeight round_levels(const std::vector<float>& rows, const Choice& choice) const {
    const LevelRounding& rounding = *level_rounding_named(choice_.rounding);
    if (!has_own_energies())
      return rounding.round(rows, view(weight_.view.channels), choice, *moments_, energies(-1), share(),
                            weight_.threads, weight_.stop);
    QuantizedWeight out;
    for (std::int64_t g = 0; g < groups_; ++g) {
      const auto at = static_cast<std::size_t>(g);
      LayerMoments own;
      own.columns = columns_;
      own.rows = moments_->rows;
      own.gram = {moments_->gram[at]};
      if (!moments_->cross.empty()) own.cross = {moments_->cross[at]};
      append(out, rounding.round(of_group(rows, g), {1, rows_, columns_}, choice, own, energies(g), share(),
                                 weight_.threads, weight_.stop));
    }
    return out;
  }

  /// What is added to G, of the mean of its diagonal: all of it with no more positions than columns.
  double share() const {
    const auto positions = static_cast<double>(std::max<std::int64_t>(1, moments_->rows));
    return std::min(static_cast<double>(columns_) / positions, 1.0);
  }

  /// G or C of a group and what is added to both: the drift stays. Of moments about the means the share is that of the
  /// moments about 0, and a mean that few positions have given is trusted as little.
  std::vector<float> shrunk(const LayerMoments& of, std::vector<float> out,
                            std::vector<std::vector<float>> LayerMoments::*column_means, std::size_t group) const {
    const auto width = static_cast<std::size_t>(columns_);
    const std::vector<float>&gram = of.gram[group], &mean = of.mean[group], &other = (of.*column_means)[group];
    const double part = share();
    double energy = 0;
    for (std::size_t c = 0; c < width; ++c) {
      const double square = centred_ ? static_cast<double>(mean[c]) * static_cast<double>(mean[c]) : 0;
      energy += (static_cast<double>(gram[c * (width + 1)]) + square) / static_cast<double>(columns_);
    }
    for (std::size_t i = 0; i < out.size() && centred_; ++i)
      out[i] += static_cast<float>(part) * mean[i / width] * other[i % width];
    for (std::size_t c = 0; c < width; ++c) out[c * (width + 1)] += static_cast<float>(part * energy);
    return out;
  }

  const LayerWeight& weight_;
  const Choice& choice_;
  Choice plain_;  ///< without gain
  const LayerMoments* moments_;
  bool centred_ = false;                  ///< moments are about the means
  std::int64_t groups_, columns_, rows_;  ///< rows of a group
  const Rounding* rounding_;              ///< of integers
};

/// Codes for what a bias leaves are not accepted against those of the choice without it. Where the layer would be worse
/// off, it gets the latter, and the bias that goes with them.
QuantizedWeight no_worse_than_without_bias(const LayerWeight& weight, const Choice& choice, QuantizedWeight with) {
  Choice without = choice;
  without.bias = BiasCorrection::none;
  if (!without.needs_data()) return with;  // the same codes
  QuantizedWeight plain = quantize_layer(weight, without);
  if (output_error(weight, with.values, true) <= output_error(weight, plain.values, false)) return with;
  plain.bias = empirical_bias(weight.view, weight.values, plain.values, *weight.moments);
  plain.stored_bits = with.stored_bits;
  return plain;
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
  const bool bias_takes_mean =
      choice.bias == BiasCorrection::empirical && choice.is_integer() && choice.range != RangeMethod::wmse;
  if (!bias_takes_mean) return LayerQuantizer(weight, choice, false).run();
  const LayerMoments about_mean = centred(*weight.moments);
  if (is_noise(about_mean, *weight.moments)) return LayerQuantizer(weight, choice, false).run();
  LayerWeight seen = weight;
  seen.moments = &about_mean;
  return no_worse_than_without_bias(weight, choice, LayerQuantizer(seen, choice, true).run());
}

}  // namespace bitplan
