#include "eval/data/dataset_checks.hpp"

#include <cassert>
#include <cmath>

#include "core/error.hpp"

namespace bitplan {

SampleWindow sample_window(const DataSpec& spec, std::int64_t total, const std::string& source) {
  const auto there = source + " has " + std::to_string(total) + (total == 1 ? " sample" : " samples");
  if (total == 0) throw InputError(source + " has no samples");
  if (spec.first < 0 || spec.first >= total)
    throw InputError(there + ": first must be from 0 to " + std::to_string(total - 1) + ", is " +
                     std::to_string(spec.first));
  const auto left = total - spec.first;
  const auto count = spec.samples.value_or(left);
  if (count < 1 || count > left)
    throw InputError(there + ": from first " + std::to_string(spec.first) + " samples must be from 1 to " +
                     std::to_string(left) + ", is " + std::to_string(count));
  return {spec.first, count};
}

std::optional<std::int64_t> class_count(const Network& network) {
  if (network.outputs.empty()) return std::nullopt;
  const auto& shape = network.tensor(network.outputs[0]).shape;
  if (shape.size() < 2 || shape[0] != network.batch) return std::nullopt;
  for (std::size_t d = 2; d < shape.size(); ++d)
    if (shape[d] != 1) return std::nullopt;
  return shape[1];
}

std::optional<SequenceForm> sequence_form(const Network& network) {
  if (network.outputs.empty() || class_count(network)) return std::nullopt;
  const auto& shape = network.tensor(network.outputs[0]).shape;
  if (shape.size() != 3 || shape[0] != network.batch) return std::nullopt;
  return SequenceForm{shape[1], shape[2]};
}

std::optional<SequenceForm> output_form(const Network& network) {
  if (const auto classes = class_count(network)) return SequenceForm{1, *classes};
  return sequence_form(network);
}

void check_label(const Network& network, const std::string& source, std::int64_t sample, std::int64_t label) {
  const auto classes = class_count(network);
  if (label >= 0 && (!classes || label < *classes)) return;
  throw InputError(source + ": sample " + std::to_string(sample) + " (counted from 0) has label " +
                   std::to_string(label) +
                   "; allowed: " + (classes ? "0 to " + std::to_string(*classes - 1) : "0 and above"));
}

std::string open_shape(const Shape& shape) {
  if (shape.empty()) return "scalar";
  std::string text = "N";
  for (std::size_t d = 1; d < shape.size(); ++d) text += 'x' + std::to_string(shape[d]);
  return text;
}

void require_image_input(const std::string& kind, const Network& network, std::int64_t height, std::int64_t width) {
  if (network.inputs.size() != 1)
    throw InputError(kind + " data need a network with one input, this one has " +
                     std::to_string(network.inputs.size()));
  const auto& input = network.tensor(network.inputs[0]);
  const auto& shape = input.shape;
  const bool fits = shape.size() == 4 && shape[0] == network.batch && shape[1] == 3 &&
                    (height < 0 || shape[2] == height) && (width < 0 || shape[3] == width);
  if (fits && input.dtype == DType::f32) return;
  const auto size = [](std::int64_t n) { return n < 0 ? std::string("any") : std::to_string(n); };
  throw InputError(kind + " data are float32 Nx3x" + size(height) + 'x' + size(width) + ", the network's input '" +
                   input.name + "' is " + std::string(name_of(input.dtype)) + ' ' + open_shape(shape));
}

namespace {

float of_channel(const std::vector<float>& values, std::size_t channel, float absent) {
  assert(values.empty() || values.size() == 1 || values.size() == 3);
  return values.empty() ? absent : values[values.size() == 1 ? 0 : channel];
}

std::vector<float> read_channels(const Yaml& node, double low) {
  constexpr double most = 1e6;
  if (node.is_scalar()) return {static_cast<float>(node.number_in(low, most))};
  const auto items = node.items();
  if (items.size() != 3)
    node.fail("must be one number or a list of three (red, green, blue), has " + std::to_string(items.size()));
  std::vector<float> values;
  for (const auto& item : items) values.push_back(static_cast<float>(item.number_in(low, most)));
  return values;
}

}  // namespace

PixelTable::PixelTable(const DataSpec& spec) {
  for (std::size_t c = 0; c < 3; ++c) {
    const float mean = of_channel(spec.mean, c, 0), stddev = of_channel(spec.stddev, c, 1);
    for (std::size_t v = 0; v < 256; ++v) table_[c][v] = (static_cast<float>(v) / 255.0F - mean) / stddev;
  }
}

void read_normalization(const Yaml& node, DataSpec& spec) {
  if (const auto mean = node.find("mean")) spec.mean = read_channels(*mean, -1e6);
  if (const auto stddev = node.find("std")) spec.stddev = read_channels(*stddev, 1e-6);
}

}  // namespace bitplan
