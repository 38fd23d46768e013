#include "quant/weight_quantizer.hpp"

#include <algorithm>
#include <cassert>
#include "quant/affine.hpp"
#include "quant/value_range.hpp"
#include "quant/weight_range.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kScaleBits = 32, kZeroPointBits = 8;
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

/// Quantizes rows (whole channels, one after the other) in place and writes their codes.
void quantize_rows(const Parts& parts, const Choice& choice, std::span<float> rows, std::span<std::int16_t> codes,
                   QuantizedWeight& out) {
  const std::int64_t length = parts.view.per_channel();
  const auto size = static_cast<std::int64_t>(rows.size());
  for (std::int64_t row = 0; row < size; row += length) {
    for (std::int64_t begin = 0; begin < length; begin += parts.run) {
      const auto at = static_cast<std::size_t>(row + begin);
      const auto n = static_cast<std::size_t>(std::min(parts.run, length - begin));
      const std::span part = rows.subspan(at, n);
      const Affine q = weight_quantizer(part, choice);
      codes_of(q, part, codes.subspan(at, n));
      fake_quantize(q, part, part);
      out.scales.push_back(q.scale);
      out.zero_points.push_back(q.zero_point);
    }
  }
}

}  // namespace

WeightView WeightView::of(const Shape& shape, int channel_axis) {
  if (shape.empty()) return {};
  const auto axis = static_cast<std::size_t>(channel_axis);
  assert(channel_axis >= 0 && axis < shape.size());
  WeightView view;
  for (std::size_t i = 0; i < axis; ++i) view.outer *= shape[i];
  view.channels = shape[axis];
  for (std::size_t i = axis + 1; i < shape.size(); ++i) view.inner *= shape[i];
  return view;
}

QuantizedWeight quantize_weight(std::span<const float> weights, const WeightView& view, const Choice& choice) {
  assert(static_cast<std::int64_t>(weights.size()) == view.size());
  range_of(weights);  // names the first value that is not finite by its place in the tensor
  QuantizedWeight out;
  out.stored_bits = stored_bits(view, choice);
  if (choice.is_float || weights.empty()) {
    out.values.assign(weights.begin(), weights.end());
    return out;
  }
  const Parts parts(view, choice.granularity);
  out.codes.resize(weights.size());
  out.values.resize(weights.size());
  out.scales.reserve(static_cast<std::size_t>(parts.count()));
  out.zero_points.reserve(static_cast<std::size_t>(parts.count()));
  const std::int64_t tile = std::min(kTile, parts.view.channels), length = parts.view.per_channel();
  std::vector<float> tile_rows(static_cast<std::size_t>(tile * length));
  std::vector<std::int16_t> tile_codes(tile_rows.size());
  for (std::int64_t first = 0; first < parts.view.channels; first += tile) {
    const auto n = static_cast<std::size_t>(std::min(tile, parts.view.channels - first) * length);
    const std::span rows = std::span(tile_rows).first(n);
    const std::span codes = std::span(tile_codes).first(n);
    gather(parts.view, first, weights.data(), rows);
    quantize_rows(parts, choice, rows, codes, out);
    scatter(parts.view, first, std::span<const float>(rows), out.values.data());
    scatter(parts.view, first, std::span<const std::int16_t>(codes), out.codes.data());
  }
  out.mse = mean_squared_error(out.values, weights);
  return out;
}

std::int64_t code_bits(const WeightView& view, const Choice& choice) { return view.size() * choice.bits; }

std::int64_t stored_bits(const WeightView& view, const Choice& choice) {
  if (choice.is_float) return code_bits(view, choice);
  const std::int64_t bits_of_part = kScaleBits + (choice.symmetric ? 0 : kZeroPointBits);
  return code_bits(view, choice) + parts_of(view, choice.granularity) * bits_of_part;
}

std::int64_t parts_of(const WeightView& view, const Granularity& granularity) {
  return view.size() == 0 ? 0 : Parts(view, granularity).count();
}

}  // namespace bitplan
