#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/channel_axis.hpp"
#include "apps/commands.hpp"
#include "apps/float_file.hpp"
#include "apps/table.hpp"
#include "core/error.hpp"
#include "quant/observers/channel_observer.hpp"

namespace bitplan {
namespace {

using Json = nlohmann::ordered_json;

/// How values fall into parts with a quantizer of their own: [outer, channels, inner]; tokens are rows of `inner`.
struct Parts {
  std::int64_t channels = 1, inner = 1;
};

std::int64_t dimensions_behind(const Shape& shape, std::size_t axis) {
  std::int64_t count = 1;
  for (std::size_t d = axis + 1; d < shape.size(); ++d) count *= shape[d];
  return count;
}

Parts parts_of(const ObserveOptions& options, const Shape& shape) {
  if (options.per_token) {
    if (shape.empty())
      throw InputError("--per-token needs values of at least one dimension, " + options.files[0].string() +
                       " is a scalar");
    return {1, shape.back()};
  }
  if (!options.axis) return {1, std::max<std::int64_t>(1, element_count(shape))};
  const std::optional<int> axis = channel_axis(*options.axis, shape);
  if (!axis) throw InputError(no_such_axis(*options.axis, options.files[0], shape));
  if (shape.empty()) return {};
  const auto at = static_cast<std::size_t>(*axis);
  return {shape[at], dimensions_behind(shape, at)};
}

/// Batches may differ in their number of samples, the first dimension, unless its elements are the channels.
void check_shape(const ObserveOptions& options, const std::filesystem::path& file, const Shape& shape,
                 const Shape& first) {
  const bool whole = options.axis && (*options.axis == 0 || *options.axis + static_cast<int>(first.size()) == 0);
  const bool same =
      shape.size() == first.size() && std::equal(shape.begin() + (whole || shape.empty() ? 0 : 1), shape.end(),
                                                 first.begin() + (whole || first.empty() ? 0 : 1));
  if (!same)
    throw InputError(file.string() + " has shape " + to_string(shape) + ", " + options.files[0].string() + " has " +
                     to_string(first) + "; batches may differ in their first dimension only" +
                     (whole ? ", and not when it is that of the channels" : ""));
}

/// Calls use(values) with each file's values; messages about values name the file.
template <class Use>
void for_each_batch(const ObserveOptions& options, const Shape& first, const Use& use) {
  for (const auto& file : options.files) {
    const Tensor tensor = read_floats(file);
    check_shape(options, file, tensor.shape(), first);
    try {
      use(tensor.values<float>());
    } catch (const InputError& error) {
      throw InputError(file.string() + ": " + error.what());
    }
  }
}

/// What was found: a quantizer for each part, and what it costs on the values that were observed.
struct Observed {
  std::vector<Affine> quantizers;
  Range seen;  ///< smallest and largest value
  std::size_t values = 0;
  double signal = 0, noise = 0;
};

void add_errors(Observed& found, std::span<const float> values, std::span<const Affine> quantizers,
                std::int64_t inner) {
  std::vector<float> out(values.size());
  fake_quantize_parts(quantizers, inner, values, out);
  const Range range = range_of(values);
  found.seen =
      found.values == 0 ? range : Range{std::min(found.seen.low, range.low), std::max(found.seen.high, range.high)};
  found.values += values.size();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double error = static_cast<double>(out[i]) - values[i];
    found.signal += static_cast<double>(values[i]) * values[i];
    found.noise += error * error;
  }
}

Observed observe_files(const ObserveOptions& options, const ObserverSpec& spec) {
  const Shape first = read_floats(options.files[0]).shape();
  const Parts parts = parts_of(options, first);
  Observed found;
  if (options.per_token) {
    for_each_batch(options, first, [&](std::span<const float> values) {
      const auto rows = token_quantizers(spec, values, parts.inner, options.bits, options.symmetric, options.narrow);
      add_errors(found, values, rows, parts.inner);
      found.quantizers.insert(found.quantizers.end(), rows.begin(), rows.end());
    });
    return found;
  }
  if (!options.axis) {
    const auto observer = find_observer(spec.name).make(spec);
    for_each_batch(options, first, [&](std::span<const float> values) { observer->observe(values); });
    found.quantizers = {observer->quantizer(options.bits, options.symmetric, options.narrow)};
  } else {
    ChannelObserver observer(spec, parts.channels);
    for_each_batch(options, first, [&](std::span<const float> values) { observer.observe(values, parts.inner); });
    found.quantizers = observer.quantizers(options.bits, options.symmetric, options.narrow);
  }
  for_each_batch(options, first, [&](std::span<const float> values) {
    add_errors(found, values, found.quantizers, options.axis ? parts.inner : static_cast<std::int64_t>(values.size()));
  });
  return found;
}

ObserverSpec spec_of(const ObserveOptions& options) {
  ObserverSpec spec;
  spec.name = options.observer;
  const auto& entry = find_observer(spec.name);
  if (options.percentile && !entry.takes_percentile)
    throw UsageError("--percentile is read by observer " + observers_that(&ObserverEntry::takes_percentile) + " only");
  if (options.momentum && !entry.takes_momentum)
    throw UsageError("--momentum is read by observer " + observers_that(&ObserverEntry::takes_momentum) + " only");
  spec.percentile = options.percentile.value_or(spec.percentile);
  spec.momentum = options.momentum.value_or(spec.momentum);
  if (options.narrow && !options.symmetric) throw UsageError("--narrow needs --symmetric");
  if (options.axis && options.per_token) throw UsageError("--axis and --per-token exclude each other");
  return spec;
}

Json json_of(const ObserveOptions& options, const Observed& found) {
  Json json{{"observer", options.observer},
            {"bits", options.bits},
            {"symmetric", options.symmetric},
            {"narrow", options.narrow},
            {"granularity", options.per_token ? "token"
                            : options.axis    ? "channel"
                                              : "tensor"},
            {"batches", options.files.size()},
            {"values", found.values},
            {"min", found.seen.low},
            {"max", found.seen.high},
            {"q_min", found.quantizers[0].q_min},
            {"q_max", found.quantizers[0].q_max}};
  Json scales = Json::array(), zeros = Json::array();
  for (const Affine& q : found.quantizers) {
    scales.push_back(q.scale);
    zeros.push_back(q.zero_point);
  }
  json["scale"] = scales;
  json["zero_point"] = zeros;
  json["mse"] = found.noise / static_cast<double>(found.values);
  json["sqnr_db"] = nullptr;  // no error
  if (found.noise > 0) json["sqnr_db"] = 10 * std::log10(found.signal / found.noise);
  return json;
}

void print_tables(const Json& json, const std::vector<Affine>& quantizers) {
  constexpr std::size_t kRows = 32;
  Table figures({"quantity", "value"});
  for (const auto& [key, value] : json.items())
    if (!value.is_array()) figures.row({key, value.is_string() ? value.get<std::string>() : value.dump()});
  std::cout << figures.text() << '\n';
  Table parts({json["granularity"].get<std::string>(), "lowest", "highest", "scale", "zero point"});
  for (std::size_t p = 0; p < std::min(kRows, quantizers.size()); ++p) {
    const Affine& q = quantizers[p];
    const auto value_of = [&](std::int32_t code) { return significant(double{q.scale} * (code - q.zero_point)); };
    parts.row(
        {std::to_string(p), value_of(q.q_min), value_of(q.q_max), significant(q.scale), std::to_string(q.zero_point)});
  }
  std::cout << parts.text();
  if (quantizers.size() > kRows) std::cout << "and " << quantizers.size() - kRows << " more; --json has them all\n";
}

}  // namespace

int observe_command(const ObserveOptions& options) {
  const Observed found = observe_files(options, spec_of(options));
  const Json json = json_of(options, found);
  if (options.json)
    std::cout << json.dump(1) << '\n';
  else
    print_tables(json, found.quantizers);
  return 0;
}

}  // namespace bitplan
