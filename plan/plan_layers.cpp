#include <cmath>

#include "plan/plan.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

Figures figures_of(const LossSums& sums) {
  Figures figures;
  for (const auto& metric : metrics()) {
    if (metric.needs_labels && sums.labelled == 0) continue;
    // Not a number: the outputs are no classes, so that kl and its like mean nothing.
    if (const auto loss = metric.value(sums); !std::isnan(loss.value)) figures[std::string(metric.name)] = loss;
  }
  return figures;
}

namespace {

/// The first layer of the site decides how a shared weight is quantized.
const Layer& quantized_as(const Network& network, const Layer& layer) {
  return network.layer(network.site(network.weight_site[static_cast<std::size_t>(layer.id)]).layers.front());
}

/// Axis of the layer's own weight that the channel scales count.
int scale_axis(const Network& network, const Layer& layer) {
  const int axis = quantized_as(network, layer).channel_axis;
  return layer.weight_transposed ? 1 - axis : axis;
}

/// Of a bias of so many numbers.
Shape bias_shape(const Layer& layer, std::size_t numbers) {
  if (static_cast<std::int64_t>(numbers) == WeightView::of(layer.weight_shape, layer.channel_axis).channels)
    return {static_cast<std::int64_t>(numbers)};
  return {layer.output_shape.begin() + 1, layer.output_shape.end()};
}

PlannedWeight planned_weight(const Layer& layer, const Choice& choice, QuantizedWeight quantized) {
  PlannedWeight planned;
  planned.choice = choice;
  if (!quantized.bias.empty()) planned.bias_shape = bias_shape(layer, quantized.bias.size());
  planned.scales = std::move(quantized.scales);
  planned.zero_points = std::move(quantized.zero_points);
  planned.code_book = std::move(quantized.code_book);
  planned.offsets = std::move(quantized.offsets);
  planned.column_scales = std::move(quantized.column_scales);
  planned.float_columns = std::move(quantized.float_columns);
  planned.bias = std::move(quantized.bias);
  planned.salient = std::move(quantized.salient);
  // Nearest codes follow from weights and scales; others, and those of scales before a gain or refit, do not.
  if (choice.rounding != Choice().rounding || choice.gain || choice.refit) planned.codes = std::move(quantized.codes);
  return planned;
}

}  // namespace

std::vector<PlannedProduct> plan_products(const Network& network, const ChoiceTable& choices,
                                          const Assignment& assignment,
                                          const std::function<SiteQuantizer(SiteId, ChoiceId)>& activation_quantizer) {
  std::vector<PlannedProduct> products;
  for (const auto& site : network.sites) {
    if (site.products.empty()) continue;
    const ChoiceId choice = assignment[static_cast<std::size_t>(site.id)];
    PlannedProduct product{{}, {choices[choice], network.tensor(site.tensor).name, {}}};
    for (const NodeId node : site.products) product.nodes.push_back(network.node(node).name);
    if (!choices[choice].is_float) product.activation.quantizer = activation_quantizer(site.id, choice);
    products.push_back(std::move(product));
  }
  return products;
}

std::vector<PlannedLayer> plan_layers(const Network& network, const ChoiceTable& choices, const CostModel& costs,
                                      const Assignment& assignment, const PlanSource& source) {
  std::vector<PlannedLayer> layers;
  for (const auto& layer : network.layers) {
    const auto l = static_cast<std::size_t>(layer.id);
    const ChoiceId weight = assignment[static_cast<std::size_t>(network.weight_site[l])];
    const SiteId input = network.input_site[l];
    const ChoiceId activation = input < 0 ? kFloat : assignment[static_cast<std::size_t>(input)];
    PlannedLayer planned{.id = layer.id,
                         .op = layer.op,
                         .names = layer.names,
                         .weight_shape = layer.weight_shape,
                         .axis = scale_axis(network, layer),
                         .folded_batch_norm = layer.folded_batch_norm,
                         .weight = planned_weight(layer, choices[weight], source.quantized_weight(layer.id, weight)),
                         .activation = std::nullopt,
                         .costs = {}};
    if (input >= 0) {
      planned.activation = PlannedActivation{choices[activation], network.tensor(network.site(input).tensor).name, {}};
      if (!choices[activation].is_float) planned.activation->quantizer = source.activation_quantizer(input, activation);
    }
    for (std::size_t m = 0; m < costs.metrics().size(); ++m)
      if (costs.additive(m) && !costs.metrics()[m].name.starts_with("average"))
        planned.costs[costs.metrics()[m].label()] =
            costs.display(m, static_cast<double>(costs.layer_cost(m, layer.id, weight, activation)));
    layers.push_back(std::move(planned));
  }
  return layers;
}

}  // namespace bitplan
