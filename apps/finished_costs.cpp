#include "apps/finished_costs.hpp"

namespace bitplan {

std::int64_t bias_bytes(const Study& study, const Assignment& assignment, const Finish& finish, LayerId id) {
  const auto l = static_cast<std::size_t>(id);
  if (finish.biases.empty() || finish.biases[l].empty()) return 0;
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(float));
  std::int64_t bytes = kBytes * std::ssize(finish.biases[l]);
  const Site& site = study.network->site(study.network->weight_site[l]);
  const Choice& choice = (*study.choices)[assignment[static_cast<std::size_t>(site.id)]];
  const Layer& layer = study.network->layer(id);
  // A shared weight is stored with its first layer, and so is its choice's bias.
  if (choice.bias != BiasCorrection::none && site.layers.front() == id)
    bytes -= kBytes * WeightView::of(layer.weight_shape, layer.channel_axis).channels;
  return bytes;
}

std::vector<std::int64_t> finished_costs(const Study& study, const Assignment& assignment, const Finish& finish) {
  std::vector<std::int64_t> costs = study.costs->costs(assignment);
  std::int64_t bytes = 0;
  for (const Layer& layer : study.network->layers) bytes += bias_bytes(study, assignment, finish, layer.id);
  for (const char* metric : {"weight_bytes", "average_weight_bits"}) costs[study.costs->metric(metric, "")] += bytes;
  return costs;
}

}  // namespace bitplan
