#include "eval/moments/patches.hpp"

#include <algorithm>
#include <cassert>
#include <string>

#include "core/error.hpp"

namespace bitplan {
namespace {

[[noreturn]] void fail(const Layer& layer, const std::string& problem) {
  throw InputError("layer '" + layer.names.node + "' (" + layer.op + ") " + problem +
                   "; moments of inputs exist for Conv, Gemm and MatMul with a constant right operand");
}

void check_layer(const Network& network, const Node& node, const Layer& layer) {
  if (node.op == "Gather") fail(layer, "is an embedding: it multiplies no inputs");
  if (node.op == "ConvTranspose") fail(layer, "has no rows of inputs that one weight row is multiplied with");
  if (node.op != "Conv" && node.op != "Gemm" && node.op != "MatMul") fail(layer, "has no rows of inputs");
  if (node.inputs[1] != layer.weight || node.inputs[0] != layer.input) fail(layer, "has its constant as left operand");
  if (network.input_site[static_cast<std::size_t>(layer.id)] < 0) fail(layer, "has a constant input");
}

}  // namespace

Patches::Patches(const Network& network, const Layer& layer) {
  const Node& node = network.node(layer.node);
  check_layer(network, node, layer);
  conv_ = node.op == "Conv";
  if (conv_)
    plan_conv(network, node, layer);
  else
    plan_linear(network, node, layer);
  const Shape& input = network.tensor(layer.input).shape;
  const std::int64_t elements = element_count(input);
  if (elements == 0) fail(layer, "has an empty input " + to_string(input));
  const bool transposed = !conv_ && row_stride_ != columns_;
  const std::int64_t leading = input.size() < 2 ? 1 : transposed ? rows_per_sample_ : input[0];
  by_sample_ = leading % network.batch == 0;
  const std::int64_t samples = by_sample_ ? network.batch : 1;
  values_per_sample_ = elements / samples;
  rows_per_sample_ /= samples;
}

void Patches::plan_conv(const Network& network, const Node& node, const Layer& layer) {
  const Shape &x = network.tensor(layer.input).shape, &w = network.tensor(layer.weight).shape;
  windows_ = three_axes(node, conv_windows(node, x, {w.begin() + 2, w.end()}));
  groups_ = node.integer("group", 1);
  channels_ = w[1];
  columns_ = channels_;
  channel_size_ = 1;
  rows_per_sample_ = x[0];
  for (const Window& window : windows_) {
    columns_ *= window.kernel;
    channel_size_ *= window.input;
    rows_per_sample_ *= window.output;
  }
  const auto& [depth, height, width] = windows_;
  for (std::int64_t c = 0; c < channels_; ++c)
    for (std::int64_t kz = 0; kz < depth.kernel; ++kz)
      for (std::int64_t ky = 0; ky < height.kernel; ++ky)
        for (std::int64_t kx = 0; kx < width.kernel; ++kx)
          offsets_.push_back(c * channel_size_ + kx * width.dilation +
                             (kz * depth.dilation * height.input + ky * height.dilation) * width.input);
}

void Patches::plan_linear(const Network& network, const Node& node, const Layer& layer) {
  const Shape& x = network.tensor(layer.input).shape;
  const bool gemm = node.op == "Gemm", transposed = gemm && node.integer("transA", 0) != 0;
  columns_ = transposed ? x[0] : x.back();
  rows_per_sample_ = columns_ == 0 ? 0 : element_count(x) / columns_;
  row_stride_ = transposed ? 1 : columns_;
  column_stride_ = transposed ? rows_per_sample_ : 1;
  if (gemm) alpha_ = node.number("alpha", 1);
}

Patches::Place Patches::place(std::int64_t sample, std::int64_t row) const {
  assert(row < rows_per_sample_);
  Place place;
  if (!conv_) {
    place.offset = (sample * rows_per_sample_ + row) * row_stride_;
    return place;
  }
  place.offset = sample * values_per_sample_;
  const std::int64_t positions = windows_[0].output * windows_[1].output * windows_[2].output;
  place.offset += row / positions * groups_ * channels_ * channel_size_;
  row %= positions;
  for (std::size_t axis = 3; axis-- > 0;) {
    const Window& window = windows_[axis];
    place.first[axis] = window.at(row % window.output, 0);
    place.taps[axis] = window.taps_of(row % window.output);
    row /= window.output;
  }
  return place;
}

void Patches::copy(std::span<const float> values, const Place& place, std::int64_t group, float* row) const {
  const float* from = values.data() + place.offset;
  if (conv_) return copy_patch(from + group * channels_ * channel_size_, place, row);
  for (std::int64_t c = 0; c < columns_; ++c) row[c] = alpha_ * from[c * column_stride_];
}

void Patches::copy_patch(const float* image, const Place& place, float* row) const {
  const auto& [depth, height, width] = windows_;
  const auto& [z, y, x] = place.taps;
  const bool inside =
      z.end - z.begin == depth.kernel && y.end - y.begin == height.kernel && x.end - x.begin == width.kernel;
  const std::int64_t origin = (place.first[0] * height.input + place.first[1]) * width.input + place.first[2];
  if (inside) {
    for (std::size_t i = 0; i < offsets_.size(); ++i) row[i] = image[origin + offsets_[i]];
    return;
  }
  std::fill_n(row, columns_, 0.0F);
  for (std::int64_t c = 0; c < channels_; ++c)
    for (std::int64_t kz = z.begin; kz < z.end; ++kz)
      for (std::int64_t ky = y.begin; ky < y.end; ++ky)
        for (std::int64_t kx = x.begin; kx < x.end; ++kx) {
          const std::int64_t i = ((c * depth.kernel + kz) * height.kernel + ky) * width.kernel + kx;
          row[i] = image[origin + offsets_[static_cast<std::size_t>(i)]];
        }
}

}  // namespace bitplan
