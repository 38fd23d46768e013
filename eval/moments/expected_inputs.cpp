#include "eval/moments/expected_inputs.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "model/spatial.hpp"

namespace bitplan {
namespace {

/// By kernel position, row-major: the share of output positions at which it is inside the image.
std::vector<double> shares_inside(const Network& network, const Layer& layer) {
  const Node& node = network.node(layer.node);
  const Shape& weight = layer.weight_shape;
  const Shape kernel(weight.begin() + 2, weight.end()), &input = network.tensor(layer.input).shape;
  const bool transposed = node.op == "ConvTranspose";
  std::vector<double> shares{1};
  for (const Window& window :
       transposed ? conv_transpose_windows(node, input, kernel) : conv_windows(node, input, kernel)) {
    // Of a transposed convolution the long side is the output.
    const std::int64_t outputs = transposed ? window.input : window.output;
    std::vector<double> next;
    for (const double share : shares)
      for (std::int64_t k = 0; k < window.kernel; ++k) {
        const Window::Range inside = window.outputs_of(k);
        const auto count = static_cast<double>(std::max<std::int64_t>(0, inside.end - inside.begin));
        next.push_back(share * count / static_cast<double>(std::max<std::int64_t>(1, outputs)));
      }
    shares = std::move(next);
  }
  return shares;
}

/// Why a layer's reduction does not run over axis 1 of an activation; empty when it does.
std::string refusal(const Network& network, const Layer& layer) {
  const Node& node = network.node(layer.node);
  if (node.op == "Gather") return "an embedding reads no activation";
  if (node.inputs[0] != layer.input || node.inputs[1] != layer.weight) return "the weight is the left operand";
  if (node.op == "ConvTranspose" && node.integer("group", 1) != 1) return "it is a transposed convolution in groups";
  const bool linear = node.op == "Gemm" || node.op == "MatMul";
  if (linear && (network.tensor(layer.input).shape.size() != 2 || node.integer("transA", 0) != 0))
    return "it does not sum over axis 1 of '" + network.tensor(layer.input).name + "'";
  return {};
}

}  // namespace

ExpectedInputs::ExpectedInputs(const Network& network) : network_(network), statistics_(channel_statistics(network)) {}

ExpectedInputs::Means ExpectedInputs::of(const Layer& layer) const {
  if (auto why = refusal(network_, layer); !why.empty()) return {{}, std::move(why)};
  const ChannelStatistics& input = statistics_[static_cast<std::size_t>(layer.input)];
  if (input.channels.empty()) return {{}, input.unknown};
  const Node& node = network_.node(layer.node);
  const double factor = node.op == "Gemm" ? static_cast<double>(node.number("alpha", 1)) : 1;
  const bool convolution = layer.op.starts_with("Conv");
  const std::vector<double> shares = convolution ? shares_inside(network_, layer) : std::vector<double>{1};
  Means means;
  for (const ClampedNormal& channel : input.channels)
    for (const double share : shares) means.values.push_back(static_cast<float>(factor * channel.expected() * share));
  return means;
}

ExpectedInputs::Means ExpectedInputs::of(const Site& site) const {
  if (site.layers.size() != 1) return {{}, "several layers share it"};
  return of(network_.layer(site.layers.front()));
}

std::vector<std::string> notes_on_statistics(const Network& network, const ChoiceTable& choices) {
  std::string labels;
  for (ChoiceId c = 0; c < static_cast<ChoiceId>(choices.size()); ++c)
    if (choices[c].bias == BiasCorrection::analytic) labels.append(labels.empty() ? "" : ", ").append(choices[c].label);
  std::vector<std::string> notes;
  if (labels.empty()) return notes;
  const ExpectedInputs inputs(network);
  bool any = false;
  for (const Site& site : network.sites) {
    if (site.kind != Site::Kind::weight) continue;
    const auto means = inputs.of(site);
    any = any || !means.values.empty();
    if (means.values.empty())
      notes.push_back("weight '" + site.name + "': bias:analytic is left out of " + labels +
                      " there, the mean of its input is not known: " + means.unknown);
  }
  if (!any)
    throw InputError("choice " + labels +
                     ": no layer reads an activation whose mean follows from a BatchNormalization (there is none, or "
                     "it was folded into the weights before the model was exported); bias correction from data is "
                     "+bias (compensation: bias)");
  return notes;
}

}  // namespace bitplan
