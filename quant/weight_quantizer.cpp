#include "quant/weight_quantizer.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/error.hpp"
#include "quant/formats/weight_format.hpp"
#include "quant/math/affine.hpp"
#include "quant/ranges/value_range.hpp"
#include "quant/ranges/weight_range.hpp"
#include "quant/roundings/level_roundings.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kScaleBits = 32, kPowerOfTwoBits = 8, kZeroPointBits = 8, kOffsetBits = 32;
constexpr std::int64_t kHalfBits = 16, kIndexBits = 32;
constexpr std::int64_t kTile = 16;  // channels gathered together, so that strided columns are read by whole cache lines

/// The parts of a weight as runs of rows: each row of `view` (a channel, or the tensor as one row) in runs of `run`.
struct Parts {
  WeightView view;
  std::int64_t run = 0, per_row = 0;

  Parts(const WeightView& weight, const Granularity& granularity) : view(weight) {
    if (granularity.kind == Granularity::Kind::tensor) view = {1, 1, weight.size()};
    run = view.per_channel();
    if (granularity.kind == Granularity::Kind::group) run = std::min<std::int64_t>(run, granularity.group);
    per_row = run == 0 ? 0 : (view.per_channel() + run - 1) / run;
  }
  std::int64_t count() const { return view.channels * per_row; }
};

/// Calls move(at in the tensor, at in the rows) for each run of `inner` elements of the channels first … first + n - 1,
/// which stand in the rows one after the other. A few rows of the tensor at a time, so that its cache lines are used
/// up.
template <class Move>
void for_each_run(const WeightView& view, std::int64_t first, std::int64_t n, Move move) {
  constexpr std::int64_t kRows = 8;
  for (std::int64_t begin = 0; begin < view.outer; begin += kRows) {
    const std::int64_t end = std::min(view.outer, begin + kRows);
    for (std::int64_t c = 0; c < n; ++c)
      for (std::int64_t o = begin; o < end; ++o)
        move((o * view.channels + first + c) * view.inner, (c * view.outer + o) * view.inner);
  }
}

/// Channels of a tensor to rows, each a channel; and back.
template <class T>
void gather(const WeightView& view, std::int64_t first, const T* tensor, std::span<T> rows) {
  const std::int64_t n = static_cast<std::int64_t>(rows.size()) / view.per_channel();
  T* row = rows.data();
  if (view.inner == 1) return for_each_run(view, first, n, [=](auto from, auto to) { row[to] = tensor[from]; });
  for_each_run(view, first, n,
               [=, inner = view.inner](auto from, auto to) { std::copy_n(tensor + from, inner, row + to); });
}
template <class T>
void scatter(const WeightView& view, std::int64_t first, std::span<const T> rows, T* tensor) {
  const std::int64_t n = static_cast<std::int64_t>(rows.size()) / view.per_channel();
  const T* row = rows.data();
  if (view.inner == 1) return for_each_run(view, first, n, [=](auto to, auto from) { tensor[to] = row[from]; });
  for_each_run(view, first, n,
               [=, inner = view.inner](auto to, auto from) { std::copy_n(row + from, inner, tensor + to); });
}

/// q of each value, as in fake_quantize.
void codes_of(const Affine& q, std::span<const float> x, std::span<std::int16_t> codes) {
  const float inverse = 1 / q.scale;
  const auto low = static_cast<float>(q.q_min - q.zero_point), high = static_cast<float>(q.q_max - q.zero_point);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float rounded = (std::clamp(x[i] * inverse, low, high) + kRounder) - kRounder;
    codes[i] = static_cast<std::int16_t>(static_cast<std::int32_t>(rounded) + q.zero_point);
  }
}

double mean_squared_error(std::span<const float> values, std::span<const float> weights) {
  double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double error = static_cast<double>(values[i]) - weights[i];
    sum += error * error;
  }
  return weights.empty() ? 0 : sum / static_cast<double>(weights.size());
}

/// <w, w> / <w', w>, or 1 where that is no positive number.
double gain_of(std::span<const float> values, std::span<const float> weights) {
  double same = 0, cross = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    same += static_cast<double>(weights[i]) * weights[i];
    cross += static_cast<double>(values[i]) * weights[i];
  }
  return cross > 0 && std::isfinite(same / cross) ? same / cross : 1;
}

/// Quantizes rows in place, part by part.
class RowQuantizer {
 public:
  RowQuantizer(const Parts& parts, const Choice& choice, float absmax, std::span<const float> importance,
               QuantizedWeight& out)
      : parts_(parts), choice_(choice), importance_(importance), absmax_(absmax), out_(out) {}

  void operator()(std::span<float> row, std::span<std::int16_t> codes) {
    if (choice_.is_integer()) return integers(row, codes);
    const WeightFormat& format = weight_format(choice_);
    grids_.clear();
    format.fit({row, importance_, absmax_}, parts_.run, choice_, grids_);
    const auto run = static_cast<std::size_t>(format.run(parts_.run)), part = static_cast<std::size_t>(parts_.run);
    std::size_t at = 0;
    for (const Grid& grid : grids_) {
      const std::size_t n = std::min({run, row.size() - at, part - at % part});
      const auto x = std::span<const float>(row).subspan(at, n);
      before_.assign(x.begin(), x.end());
      grid.round(row.subspan(at, n), codes.subspan(at, n));
      const auto level_of = [&](std::size_t i) {
        return grid.levels->values()[grid.levels->index(before_[i] / grid.scale)];
      };
      finish(grid.scale, row.subspan(at, n), level_of);
      if (has_own_levels())
        out_.code_book.insert(out_.code_book.end(), grid.levels->values().begin(), grid.levels->values().end());
      at += n;
    }
    assert(at == row.size());
  }

 private:
  bool has_own_levels() const {
    using enum FormatFamily;
    return choice_.family == codebook || choice_.family == power || choice_.family == ternary ||
           choice_.family == ternary_two;
  }

  void integers(std::span<float> row, std::span<std::int16_t> codes) {
    for (std::size_t begin = 0; begin < row.size(); begin += static_cast<std::size_t>(parts_.run)) {
      const std::size_t n = std::min(static_cast<std::size_t>(parts_.run), row.size() - begin);
      const std::span part = row.subspan(begin, n);
      if (choice_.has_offsets()) {
        between_codes(part, codes.subspan(begin, n));
        continue;
      }
      const Affine q =
          weight_quantizer(part, choice_, importance_.empty() ? importance_ : importance_.subspan(begin, n));
      if (choice_.gain) before_.assign(part.begin(), part.end());
      codes_of(q, part, codes.subspan(begin, n));
      fake_quantize(q, part, part);
      finish(q.scale, part, [&](std::size_t i) { return static_cast<float>(codes[begin + i] - q.zero_point); });
      out_.zero_points.push_back(q.zero_point);
    }
  }

  /// Range fit, affine.
  void between_codes(std::span<float> part, std::span<std::int16_t> codes) {
    const FitGrid grid = part_grid(part, choice_);
    if (choice_.gain) before_.assign(part.begin(), part.end());
    for (std::size_t i = 0; i < part.size(); ++i) {
      codes[i] = static_cast<std::int16_t>(fit_code(grid, part[i]));
      part[i] = grid.scale * (static_cast<float>(codes[i]) - grid.zero);
    }
    finish(grid.scale, part, [&](std::size_t i) { return static_cast<float>(codes[i]) - grid.zero; });
    out_.offsets.push_back(grid.zero);
  }

  /// Notes the scale, with the gain where it is asked for: before_ holds the weights, level_of(i) is value i in steps.
  template <class LevelOf>
  void finish(float scale, std::span<float> values, LevelOf level_of) {
    if (choice_.gain && scale > 0) {
      const auto corrected = static_cast<float>(scale * gain_of(values, before_));
      const bool finite = std::isfinite(corrected / scale * absmax_of(values));
      if (finite) scale = corrected;
      for (std::size_t i = 0; finite && i < values.size(); ++i) values[i] = scale * level_of(i);
    }
    out_.scales.push_back(scale);
  }

  const Parts& parts_;
  const Choice& choice_;
  std::span<const float> importance_;
  float absmax_;
  QuantizedWeight& out_;
  std::vector<Grid> grids_;
  std::vector<float> before_;
};

/// The importance of a row's elements: that of the reduction; where the tensor is one row, repeated for each channel.
std::vector<float> row_importance(std::span<const float> importance, const WeightView& view, const Choice& choice) {
  if (choice.range != RangeMethod::wmse) return {};
  if (importance.empty()) throw InputError("range wmse needs the energy of the layer's input");
  if (static_cast<std::int64_t>(importance.size()) != view.per_channel())
    throw InputError("the input has " + std::to_string(importance.size()) + " energies, the weight's reduction " +
                     std::to_string(view.per_channel()) + " elements");
  if (range_of(importance).low < 0) throw InputError("an energy of the input is negative");
  if (choice.granularity.kind != Granularity::Kind::tensor) return {importance.begin(), importance.end()};
  std::vector<float> row;
  row.reserve(static_cast<std::size_t>(view.size()));
  for (std::int64_t o = 0; o < view.outer; ++o)
    for (std::int64_t c = 0; c < view.channels; ++c)
      for (std::int64_t i = 0; i < view.inner; ++i)
        row.push_back(importance[static_cast<std::size_t>(o * view.inner + i)]);
  return row;
}

}  // namespace

WeightView WeightView::of(const Shape& shape, int channel_axis, std::int64_t groups) {
  if (shape.empty()) return {};
  const auto axis = static_cast<std::size_t>(channel_axis);
  assert(channel_axis >= 0 && axis < shape.size());
  WeightView view;
  view.groups = groups;
  for (std::size_t i = 0; i < axis; ++i) view.outer *= shape[i];
  view.channels = shape[axis];
  for (std::size_t i = axis + 1; i < shape.size(); ++i) view.inner *= shape[i];
  return view;
}

QuantizedWeight quantize_weight(std::span<const float> weights, const WeightView& view, const Choice& choice,
                                std::span<const float> importance) {
  assert(static_cast<std::int64_t>(weights.size()) == view.size());
  const Range range = range_of(weights);  // names the first value that is not finite by its place in the tensor
  QuantizedWeight out;
  out.stored_bits = stored_bits(view, choice);
  if (choice.is_float || weights.empty()) {
    out.values.assign(weights.begin(), weights.end());
    return out;
  }
  const Parts parts(view, choice.granularity);
  const std::vector<float> energies = row_importance(importance, view, choice);
  out.codes.resize(weights.size());
  out.values.resize(weights.size());
  RowQuantizer quantize(parts, choice, std::max(-range.low, range.high), energies, out);
  const std::int64_t tile = std::min(kTile, parts.view.channels), length = parts.view.per_channel();
  std::vector<float> tile_rows(static_cast<std::size_t>(tile * length));
  std::vector<std::int16_t> tile_codes(tile_rows.size());
  for (std::int64_t first = 0; first < parts.view.channels; first += tile) {
    const auto n = static_cast<std::size_t>(std::min(tile, parts.view.channels - first) * length);
    const std::span rows = std::span(tile_rows).first(n);
    const std::span codes = std::span(tile_codes).first(n);
    gather(parts.view, first, weights.data(), rows);
    for (std::size_t row = 0; row < n; row += static_cast<std::size_t>(length))
      quantize(rows.subspan(row, static_cast<std::size_t>(length)),
               codes.subspan(row, static_cast<std::size_t>(length)));
    scatter(parts.view, first, std::span<const float>(rows), out.values.data());
    scatter(parts.view, first, std::span<const std::int16_t>(codes), out.codes.data());
  }
  out.mse = mean_squared_error(out.values, weights);
  return out;
}

std::int64_t code_bits(const WeightView& view, const Choice& choice) { return view.size() * choice.bits; }

std::int64_t float_columns(const WeightView& view, const Choice& choice) {
  return static_cast<std::int64_t>(std::ceil(static_cast<double>(view.per_channel()) * choice.outliers / 100));
}

namespace {

/// Of what a choice keeps besides codes and the parts' numbers. Codes of columns in float are not stored.
std::int64_t besides_bits(const WeightView& view, const Choice& choice) {
  std::int64_t bits = float_columns(view, choice) * (view.channels * (kHalfBits - choice.bits) + kIndexBits);
  if (choice.awq && view.groups == 1) bits += view.per_channel() * kScaleBits;
  if (choice.bias != BiasCorrection::none) bits += view.channels * kScaleBits;
  return bits;
}

/// Of codes and the parts' numbers.
std::int64_t plain_bits(const WeightView& view, const Choice& choice) {
  const Parts parts(view, choice.granularity);
  if (!choice.is_integer())
    return code_bits(view, choice) +
           weight_format(choice).overhead_bits({parts.view.channels, parts.view.per_channel(), parts.run}, choice);
  const bool power_of_two = choice.range == RangeMethod::pow2 || choice.range == RangeMethod::pow2_mse;
  const std::int64_t zero_bits = choice.symmetric                                            ? 0
                                 : !choice.has_offsets() || choice.range == RangeMethod::fit ? kZeroPointBits
                                                                                             : kOffsetBits;
  return code_bits(view, choice) + parts.count() * ((power_of_two ? kPowerOfTwoBits : kScaleBits) + zero_bits);
}

}  // namespace

std::int64_t stored_bits(const WeightView& view, const Choice& choice) {
  if (choice.is_float || view.size() == 0) return code_bits(view, choice);
  const std::int64_t plain = choice.rounding == "billm" ? billm_choice_bits(view, choice) : plain_bits(view, choice);
  return plain + besides_bits(view, choice);
}

std::int64_t parts_of(const WeightView& view, const Granularity& granularity) {
  return view.size() == 0 ? 0 : Parts(view, granularity).count();
}

}  // namespace bitplan
