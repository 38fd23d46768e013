#include "quant/layer_quantizer.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "core/error.hpp"
#include "quant/awq.hpp"
#include "quant/bias_correction.hpp"
#include "quant/layer_loss.hpp"
#include "quant/level_roundings.hpp"
#include "quant/output_range.hpp"
#include "quant/roundings.hpp"
#include "quant/smoothquant.hpp"

namespace bitplan {
namespace {

/// The channels of a weight as rows [channels, per_channel], and back.
template <class T>
std::vector<T> to_rows(std::span<const T> tensor, const WeightView& view) {
  std::vector<T> rows;
  rows.reserve(tensor.size());
  for (std::int64_t c = 0; c < view.channels; ++c)
    for (std::int64_t o = 0; o < view.outer; ++o) {
      const auto run = tensor.subspan(static_cast<std::size_t>((o * view.channels + c) * view.inner),
                                      static_cast<std::size_t>(view.inner));
      rows.insert(rows.end(), run.begin(), run.end());
    }
  return rows;
}

template <class T>
std::vector<T> from_rows(const std::vector<T>& rows, const WeightView& view) {
  std::vector<T> tensor(rows.size());
  auto row = rows.begin();
  for (std::int64_t c = 0; c < view.channels && !rows.empty(); ++c)
    for (std::int64_t o = 0; o < view.outer; ++o, row += view.inner)
      std::copy_n(row, view.inner, tensor.begin() + (o * view.channels + c) * view.inner);
  return tensor;
}

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
  LayerQuantizer(const LayerWeight& weight, const Choice& choice)
      : weight_(weight),
        choice_(choice),
        plain_(choice),
        moments_(weight.moments),
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
    if (choice_.bias) out.bias = bias(original, out.values);
    finish(out, original);
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
    RoundingProblem problem{rows_, columns_, rows, {}, {}, {}, weight_.threads};
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
    others = *moments_;
    const auto width = static_cast<std::size_t>(columns_);
    for (auto* matrices : {&others.gram, &others.cross})
      for (auto& matrix : *matrices)
        for (const auto column : float_columns)
          for (std::size_t i = 0, c = static_cast<std::size_t>(column); i < width; ++i)
            matrix[i * width + c] = matrix[c * width + i] = 0;
    copy.moments_ = &others;
    return copy;
  }

  /// This, with the moments of inputs divided by the scales.
  LayerQuantizer with_moments(const std::vector<float>& scales, LayerMoments& moved) const {
    LayerQuantizer copy = *this;
    if (scales.empty()) return copy;
    moved = *moments_;
    const auto divide = [&](std::vector<float>& matrix) {
      for (std::size_t i = 0; i < matrix.size(); ++i)
        matrix[i] /= scales[i / scales.size()] * scales[i % scales.size()];
    };
    for (auto& matrix : moved.gram) divide(matrix);
    for (auto& matrix : moved.cross) divide(matrix);
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
    if (choice_.range == RangeMethod::output && !rows.empty())
      plain = solve(rows, plain, Rounding::Grid::scales, range_by_output);
    if (choice_.rounding != roundings().front().name && !rows.empty())
      plain = choice_.is_integer() ? round(rows, plain) : round_levels(rows);
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
      grid.zero_points.push_back(start.zero_points.empty() ? 0.0F : static_cast<float>(start.zero_points[part]));
    }
    return grid;
  }

  QuantizedWeight round(const std::vector<float>& rows, const QuantizedWeight& start) const {
    return solve(rows, start, rounding_->grid, [this](RoundingProblem asked) {
      if (!rounding_->needs_gram) asked.gram = asked.cross = {};
      return round_with(*rounding_, asked);
    });
  }

  /// Codes by a method that gets each group's problem with shrunk moments; rows are accepted on the true ones, except
  /// of methods with zero points of their own, which nearest rounding's grid cannot be compared with.
  template <class Method>
  QuantizedWeight solve(const std::vector<float>& rows, const QuantizedWeight& start, Rounding::Grid grid,
                        const Method& method) const {
    QuantizedWeight out;
    const bool tensor = choice_.granularity.kind == Granularity::Kind::tensor;
    for (std::int64_t g = 0; g < groups_; ++g) {
      RoundingProblem asked = problem(of_group(rows, g), g);
      asked.grid = grid_of(start, g);
      const std::vector<float> shrunk = shrunk_gram(asked.gram, asked.gram),
                               crossed = shrunk_gram(asked.cross, asked.gram);
      const std::span<const float> gram = asked.gram, cross = asked.cross;
      asked.gram = shrunk, asked.cross = crossed;
      RoundedWeight rounded = method(asked);
      asked.gram = gram, asked.cross = cross;
      if (!gram.empty() && grid != Rounding::Grid::zero_points) rounded = accepted(asked, std::move(rounded));
      QuantizedWeight part;
      part.codes = std::move(rounded.codes);
      part.values = std::move(rounded.values);
      if (!tensor) part.scales = std::move(rounded.grid.scales);
      if (grid == Rounding::Grid::zero_points)
        part.offsets = std::move(rounded.grid.zero_points);
      else if (!tensor)
        for (const float z : rounded.grid.zero_points) part.zero_points.push_back(static_cast<std::int32_t>(z));
      append(out, std::move(part));
    }
    if (tensor) out.scales = start.scales, out.zero_points = start.zero_points;
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
                            weight_.threads);
    QuantizedWeight out;
    for (std::int64_t g = 0; g < groups_; ++g) {
      const auto at = static_cast<std::size_t>(g);
      LayerMoments own;
      own.columns = columns_;
      own.rows = moments_->rows;
      own.gram = {moments_->gram[at]};
      if (!moments_->cross.empty()) own.cross = {moments_->cross[at]};
      append(out, rounding.round(of_group(rows, g), {1, rows_, columns_}, choice, own, energies(g), share(),
                                 weight_.threads));
    }
    return out;
  }

  /// What is added to G, of the mean of its diagonal: all of it with no more positions than columns.
  double share() const {
    const auto positions = static_cast<double>(std::max<std::int64_t>(1, moments_->rows));
    return std::min(static_cast<double>(columns_) / positions, 1.0);
  }

  /// G or C and what is added to both: the drift stays.
  std::vector<float> shrunk_gram(std::span<const float> moments, std::span<const float> gram) const {
    std::vector<float> out(moments.begin(), moments.end());
    if (moments.empty()) return out;
    const auto width = static_cast<std::size_t>(columns_);
    double mean = 0;
    for (std::size_t c = 0; c < width; ++c) mean += gram[c * (width + 1)] / static_cast<double>(columns_);
    for (std::size_t c = 0; c < width; ++c) out[c * (width + 1)] += static_cast<float>(share() * mean);
    return out;
  }

  std::vector<float> bias(const std::vector<float>& rows, const std::vector<float>& values) const {
    std::vector<float> out;
    for (std::int64_t g = 0; g < groups_; ++g) {
      const auto at = static_cast<std::size_t>(g);
      const auto part =
          bias_correction(of_group(rows, g), of_group(values, g), moments_->float_mean[at], moments_->mean[at]);
      out.insert(out.end(), part.begin(), part.end());
    }
    return out;
  }

  const LayerWeight& weight_;
  const Choice& choice_;
  Choice plain_;  ///< without gain
  const LayerMoments* moments_;
  std::int64_t groups_, columns_, rows_;  ///< rows of a group
  const Rounding* rounding_;              ///< of integers
};

}  // namespace

std::size_t LayerMoments::bytes() const {
  std::size_t floats = 0;
  for (const auto* matrices : {&gram, &cross, &mean, &float_mean, &abs_mean, &abs_max})
    for (const auto& matrix : *matrices) floats += matrix.size();
  return floats * sizeof(float);
}

QuantizedWeight quantize_layer(const LayerWeight& weight, const Choice& choice) {
  if (!choice.is_prepared() || choice.is_float || weight.values.empty()) {
    auto out = quantize_weight(weight.values, weight.view, choice);
    return out;
  }
  if (choice.needs_data() && weight.moments == nullptr)
    throw InputError("choice '" + choice.label + "' needs the layer's inputs");
  assert(weight.moments == nullptr ||
         (weight.moments->columns == weight.view.per_channel() && weight.view.channels % weight.moments->groups == 0));
  return LayerQuantizer(weight, choice).run();
}

std::vector<float> mean_difference(const WeightView& view, std::span<const float> weights,
                                   std::span<const float> values, const LayerMoments& moments) {
  const std::vector<float> from = to_rows(weights, view), to = to_rows(values, view);
  const std::size_t size = from.size() / static_cast<std::size_t>(moments.groups);
  std::vector<float> out;
  for (std::size_t g = 0; g < static_cast<std::size_t>(moments.groups); ++g) {
    const auto part = bias_correction(std::span(from).subspan(g * size, size), std::span(to).subspan(g * size, size),
                                      moments.float_mean[g], moments.mean[g]);
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

double output_error(const LayerWeight& weight, std::span<const float> values, bool with_bias) {
  const LayerMoments& moments = *weight.moments;
  const std::vector<float> from = to_rows(weight.values, weight.view), to = to_rows(values, weight.view);
  const auto columns = static_cast<std::size_t>(moments.columns);
  const std::size_t size = from.size() / static_cast<std::size_t>(moments.groups);
  double sum = 0;
  for (std::size_t g = 0; g < static_cast<std::size_t>(moments.groups) && size > 0; ++g) {
    const auto w = std::span(from).subspan(g * size, size), q = std::span(to).subspan(g * size, size);
    RoundingProblem problem{
        static_cast<std::int64_t>(size / columns), moments.columns, w, {}, moments.gram[g], {}, weight.threads};
    if (!moments.cross.empty()) problem.cross = moments.cross[g];
    sum += LayerLoss(problem).of(q);
    if (with_bias) sum -= corrected_error(bias_correction(w, q, moments.float_mean[g], moments.mean[g]));
  }
  return sum;
}

}  // namespace bitplan
