#include "eval/moments/channel_statistics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>

#include "model/channel_normal.hpp"
#include "quant/bias_correction.hpp"

namespace bitplan {

double ClampedNormal::expected() const {
  if (!(low < high)) return low;
  if (!std::isinf(low)) return low + expected_relu(mean - low, deviation, high - low);
  return std::isinf(high) ? mean : high - expected_relu(high - mean, deviation);
}

double ClampedNormal::variance() const {
  if (!(low < high)) return 0;
  if (!std::isinf(low)) return variance_relu(mean - low, deviation, high - low);
  return std::isinf(high) ? deviation * deviation : variance_relu(high - mean, deviation);
}

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

ChannelStatistics of_normal(const ChannelNormal& normal) {
  ChannelStatistics made;
  for (std::size_t c = 0; c < normal.mean.size(); ++c)
    made.channels.push_back({static_cast<double>(normal.mean[c]), static_cast<double>(normal.deviation[c])});
  return made;
}

class StatisticsPass {
 public:
  explicit StatisticsPass(const Network& network) : net_(network), all_(network.tensors.size()) {}

  std::vector<ChannelStatistics> run();

  // How each operator carries statistics on, from node.inputs to node.outputs[0].
  ChannelStatistics batch_normalization(const Node& node) const;
  ChannelStatistics same(const Node& node) const { return of(node.inputs[0]); }
  ChannelStatistics relu(const Node& node) const;
  ChannelStatistics clip(const Node& node) const;
  ChannelStatistics bound(const Node& node) const;
  ChannelStatistics add(const Node& node) const;
  ChannelStatistics multiply(const Node& node) const;
  ChannelStatistics concat(const Node& node) const;
  ChannelStatistics average_pool(const Node& node) const;
  ChannelStatistics global_pool(const Node& node) const { return pooled(node); }
  ChannelStatistics reduce_mean(const Node& node) const;
  ChannelStatistics slice(const Node& node) const;
  ChannelStatistics pad(const Node& node) const;
  ChannelStatistics view(const Node& node) const;

 private:
  struct Affine {
    std::vector<double> values;  ///< by channel
    TensorId activation = kNoTensor;
  };

  const ChannelStatistics& of(TensorId tensor) const { return all_[static_cast<std::size_t>(tensor)]; }
  const Shape& shape(TensorId tensor) const { return net_.tensor(tensor).shape; }
  std::string quoted(TensorId tensor) const { return "'" + net_.tensor(tensor).name + "'"; }
  ChannelStatistics not_known(const Node& node, const std::string& why = {}) const {
    return {{}, false, quoted(node.outputs[0]) + " is made by " + node.op + why};
  }
  std::optional<std::vector<double>> by_channel(TensorId constant, const Shape& as) const;
  /// The node's operands when one is a constant by channel and the other an activation of the output's shape.
  std::optional<Affine> affine(const Node& node) const;
  ChannelStatistics clamped(const Node& node, TensorId from, const std::vector<double>& low,
                            const std::vector<double>& high) const;
  ChannelStatistics pooled(const Node& node) const;
  std::optional<std::vector<std::int64_t>> whole_numbers(const Node& node, std::size_t i) const;
  bool are_positions(const std::vector<std::int64_t>& axes, TensorId tensor) const;

  const Network& net_;
  std::vector<ChannelStatistics> all_;  ///< by TensorId
};

struct Carrier {
  std::string_view op;
  ChannelStatistics (StatisticsPass::*carry)(const Node&) const;
};

constexpr std::array kCarriers{
    Carrier{"BatchNormalization", &StatisticsPass::batch_normalization},
    Carrier{"Identity", &StatisticsPass::same},
    Carrier{"Dropout", &StatisticsPass::same},
    Carrier{"Relu", &StatisticsPass::relu},
    Carrier{"Clip", &StatisticsPass::clip},
    Carrier{"Min", &StatisticsPass::bound},
    Carrier{"Max", &StatisticsPass::bound},
    Carrier{"Add", &StatisticsPass::add},
    Carrier{"Mul", &StatisticsPass::multiply},
    Carrier{"Concat", &StatisticsPass::concat},
    Carrier{"AveragePool", &StatisticsPass::average_pool},
    Carrier{"GlobalAveragePool", &StatisticsPass::global_pool},
    Carrier{"ReduceMean", &StatisticsPass::reduce_mean},
    Carrier{"Slice", &StatisticsPass::slice},
    Carrier{"Pad", &StatisticsPass::pad},
    Carrier{"Flatten", &StatisticsPass::view},
    Carrier{"Reshape", &StatisticsPass::view},
    Carrier{"Squeeze", &StatisticsPass::view},
    Carrier{"Unsqueeze", &StatisticsPass::view},
};

std::vector<ChannelStatistics> StatisticsPass::run() {
  for (std::size_t t = 0; t < all_.size(); ++t) {
    const TensorInfo& info = net_.tensors[t];
    all_[t].unknown = "'" + info.name + "' is " + (info.constant ? "a constant" : "an input of the network");
  }
  for (const Node& node : net_.nodes) {
    for (const TensorId output : node.outputs)
      if (output != kNoTensor)
        all_[static_cast<std::size_t>(output)] = {{}, false, quoted(output) + " is made by " + node.op};
    if (node.outputs.empty() || node.outputs[0] == kNoTensor) continue;
    const auto carrier = std::ranges::find(kCarriers, node.op, &Carrier::op);
    const auto& normal = net_.tensor(node.outputs[0]).normal;
    ChannelStatistics& made = all_[static_cast<std::size_t>(node.outputs[0])];
    if (normal) {
      made = of_normal(*normal);
    } else if (carrier != kCarriers.end() && node.domain.empty()) {
      made = (this->*carrier->carry)(node);
    }
  }
  return std::move(all_);
}

/// One value, or one for each channel of an activation of shape `as`.
std::optional<std::vector<double>> StatisticsPass::by_channel(TensorId id, const Shape& as) const {
  if (id == kNoTensor || as.size() < 2) return std::nullopt;
  const auto& constant = net_.tensor(id).constant;
  if (!constant || constant->dtype() != DType::f32 || constant->shape().size() > as.size()) return std::nullopt;
  const auto values = constant->values<float>();
  const auto channels = static_cast<std::size_t>(as[1]);
  const std::size_t from_end = as.size() - 1, rank = constant->shape().size();
  if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); })) return std::nullopt;
  if (values.size() == 1) return std::vector<double>(channels, static_cast<double>(values[0]));
  if (values.size() != channels || rank < from_end || constant->shape()[rank - from_end] != as[1]) return std::nullopt;
  return std::vector<double>(values.begin(), values.end());
}

std::optional<StatisticsPass::Affine> StatisticsPass::affine(const Node& node) const {
  if (node.inputs.size() != 2) return std::nullopt;
  for (const std::size_t i : {1U, 0U}) {
    const TensorId other = node.inputs[1 - i];
    auto values = by_channel(node.inputs[i], shape(node.outputs[0]));
    if (values && shape(other) == shape(node.outputs[0])) return Affine{std::move(*values), other};
  }
  return std::nullopt;
}

ChannelStatistics StatisticsPass::batch_normalization(const Node& node) const {
  for (const std::size_t i : {1U, 2U, 4U})
    if (!net_.tensor(node.inputs[i]).constant) return not_known(node, " with computed parameters");
  const auto values = [&](std::size_t i) { return net_.tensor(node.inputs[i]).constant->values<float>(); };
  const auto normal = batch_norm_output(values(1), values(2), values(4), node.number("epsilon", 1e-5F));
  if (!normal) return not_known(node, " with parameters that are not finite");
  return of_normal(*normal);
}

ChannelStatistics StatisticsPass::clamped(const Node& node, TensorId from, const std::vector<double>& low,
                                          const std::vector<double>& high) const {
  ChannelStatistics made = of(from);
  if (made.channels.empty()) return made;
  if (made.mean_only) return not_known(node, " of " + quoted(from) + ", of which only the mean is known");
  for (std::size_t c = 0; c < made.channels.size(); ++c) {
    ClampedNormal& x = made.channels[c];
    x.low = std::min(std::max(x.low, low[c]), high[c]);
    x.high = std::min(std::max(x.high, low[c]), high[c]);
  }
  return made;
}

ChannelStatistics StatisticsPass::relu(const Node& node) const {
  const std::size_t channels = of(node.inputs[0]).channels.size();
  return clamped(node, node.inputs[0], std::vector<double>(channels, 0), std::vector<double>(channels, kInfinite));
}

ChannelStatistics StatisticsPass::clip(const Node& node) const {
  if (of(node.inputs[0]).channels.empty()) return of(node.inputs[0]);
  const Shape& as = shape(node.inputs[0]);
  const auto bound_at = [&](std::size_t i, double fallback) -> std::optional<std::vector<double>> {
    if (node.inputs.size() > i && node.inputs[i] != kNoTensor) return by_channel(node.inputs[i], as);
    return std::vector<double>(of(node.inputs[0]).channels.size(), fallback);
  };
  const auto low = bound_at(1, -kInfinite), high = bound_at(2, kInfinite);
  if (!low || !high) return not_known(node, " with computed bounds");
  return clamped(node, node.inputs[0], *low, *high);
}

/// Min and Max of an activation and a constant, as a rewrite makes them of a Clip.
ChannelStatistics StatisticsPass::bound(const Node& node) const {
  const auto operands = affine(node);
  if (!operands) return not_known(node);
  const std::vector<double> none(operands->values.size(), node.op == "Min" ? -kInfinite : kInfinite);
  return node.op == "Min" ? clamped(node, operands->activation, none, operands->values)
                          : clamped(node, operands->activation, operands->values, none);
}

ChannelStatistics StatisticsPass::add(const Node& node) const {
  if (const auto operands = affine(node)) {
    ChannelStatistics made = of(operands->activation);
    for (std::size_t c = 0; c < made.channels.size(); ++c) {
      const double shift = operands->values[c];
      const ClampedNormal x = made.channels[c];
      made.channels[c] = {x.mean + shift, x.deviation, x.low + shift, x.high + shift};
    }
    return made;
  }
  const ChannelStatistics &a = of(node.inputs[0]), &b = of(node.inputs[1]);
  if (a.channels.empty()) return a;
  if (b.channels.empty()) return b;
  if (shape(node.inputs[0]) != shape(node.inputs[1])) return not_known(node, " of different shapes");
  ChannelStatistics made;
  made.mean_only = a.mean_only || b.mean_only;
  for (std::size_t c = 0; c < a.channels.size(); ++c)
    made.channels.push_back({a.channels[c].expected() + b.channels[c].expected(),
                             std::sqrt(a.channels[c].variance() + b.channels[c].variance())});
  return made;
}

ChannelStatistics StatisticsPass::multiply(const Node& node) const {
  const auto operands = affine(node);
  if (!operands) return not_known(node);
  ChannelStatistics made = of(operands->activation);
  for (std::size_t c = 0; c < made.channels.size(); ++c) {
    const double s = operands->values[c];
    const ClampedNormal x = made.channels[c];
    ClampedNormal& y = made.channels[c];
    if (s == 0)
      y = {};
    else
      y = {s * x.mean, std::abs(s) * x.deviation, std::min(s * x.low, s * x.high), std::max(s * x.low, s * x.high)};
  }
  return made;
}

ChannelStatistics StatisticsPass::concat(const Node& node) const {
  const auto rank = static_cast<std::int64_t>(shape(node.outputs[0]).size());
  const std::int64_t axis = node.integer("axis", 0);
  ChannelStatistics made;
  for (const TensorId input : node.inputs) {
    const ChannelStatistics& part = of(input);
    if (part.channels.empty()) return part;
    made.mean_only = made.mean_only || part.mean_only;
    made.channels.insert(made.channels.end(), part.channels.begin(), part.channels.end());
  }
  if ((axis < 0 ? axis + rank : axis) != 1) return not_known(node, " along another axis than the channels");
  return made;
}

/// A mean over positions, which are alike.
ChannelStatistics StatisticsPass::pooled(const Node& node) const {
  ChannelStatistics made = of(node.inputs[0]);
  made.mean_only = true;
  for (ClampedNormal& x : made.channels) x = {x.expected(), 0};
  return made;
}

ChannelStatistics StatisticsPass::average_pool(const Node& node) const {
  const auto pads = node.integers("pads", {});
  const std::string automatic = node.text("auto_pad", "NOTSET");
  const bool padded = std::ranges::any_of(pads, [](std::int64_t p) { return p != 0; }) || automatic.starts_with("SAME");
  if (padded && node.integer("count_include_pad", 0) != 0) return not_known(node, ", which counts its padding");
  return pooled(node);
}

/// A constant input of whole numbers; none when it is absent, nothing when it is computed.
std::optional<std::vector<std::int64_t>> StatisticsPass::whole_numbers(const Node& node, std::size_t i) const {
  if (node.inputs.size() <= i || node.inputs[i] == kNoTensor) return std::vector<std::int64_t>();
  const auto& constant = net_.tensor(node.inputs[i]).constant;
  if (!constant) return std::nullopt;
  const Tensor wide = constant->cast(DType::i64);
  return std::vector<std::int64_t>(wide.values<std::int64_t>().begin(), wide.values<std::int64_t>().end());
}

/// Some axes, none of them samples or channels.
bool StatisticsPass::are_positions(const std::vector<std::int64_t>& axes, TensorId tensor) const {
  const auto rank = static_cast<std::int64_t>(shape(tensor).size());
  return !axes.empty() && std::ranges::all_of(axes, [&](std::int64_t a) { return (a < 0 ? a + rank : a) > 1; });
}

ChannelStatistics StatisticsPass::reduce_mean(const Node& node) const {
  auto axes = whole_numbers(node, 1);
  if (axes && axes->empty()) axes = node.integers("axes", {});
  if (!axes || !are_positions(*axes, node.inputs[0])) return not_known(node, " over other axes than positions");
  return pooled(node);
}

ChannelStatistics StatisticsPass::slice(const Node& node) const {
  const auto axes = whole_numbers(node, 3);
  if (!axes || !are_positions(*axes, node.inputs[0])) return not_known(node, " over other axes than positions");
  return same(node);
}

/// Channels of a constant before and behind, as residual sums of networks without projections have them.
ChannelStatistics StatisticsPass::pad(const Node& node) const {
  ChannelStatistics made = of(node.inputs[0]);
  if (made.channels.empty()) return made;
  const std::size_t rank = shape(node.inputs[0]).size();
  const auto pads = whole_numbers(node, 1);
  const bool filled = node.inputs.size() > 2 && node.inputs[2] != kNoTensor;
  const auto value = filled ? by_channel(node.inputs[2], {1, 1}) : std::vector<double>{0};
  if (!pads || pads->size() != 2 * rank || !value || node.text("mode", "constant") != "constant")
    return not_known(node, " by other than constants");
  for (std::size_t i = 0; i < pads->size(); ++i)
    if (i % rank == 1 ? (*pads)[i] < 0 : (*pads)[i] != 0) return not_known(node, " over other axes than channels");
  const ClampedNormal constant{value->front(), 0};
  made.channels.insert(made.channels.begin(), static_cast<std::size_t>((*pads)[1]), constant);
  made.channels.insert(made.channels.end(), static_cast<std::size_t>((*pads)[rank + 1]), constant);
  return made;
}

/// [N, C, ...] with C where it was, or as the [N, C * positions] that a linear layer reads.
ChannelStatistics StatisticsPass::view(const Node& node) const {
  const Shape &from = shape(node.inputs[0]), &to = shape(node.outputs[0]);
  const ChannelStatistics& x = of(node.inputs[0]);
  if (x.channels.empty()) return x;
  if (from.size() < 2 || to.size() < 2 || from[0] != to[0]) return not_known(node, ", which moves the channels");
  if (from[1] == to[1]) return x;
  const std::int64_t positions = element_count(Shape(from.begin() + 2, from.end()));
  if (to.size() != 2 || to[1] != from[1] * positions) return not_known(node, ", which moves the channels");
  ChannelStatistics made;
  made.mean_only = x.mean_only;
  for (const ClampedNormal& channel : x.channels)
    made.channels.insert(made.channels.end(), static_cast<std::size_t>(positions), channel);
  return made;
}

}  // namespace

std::vector<ChannelStatistics> channel_statistics(const Network& network) { return StatisticsPass(network).run(); }

}  // namespace bitplan
