#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/commands.hpp"
#include "apps/figures.hpp"
#include "apps/table.hpp"
#include "core/error.hpp"

namespace bitplan {
namespace {

/// Metrics to show: all, or those of one hardware model and the ones that need none.
std::vector<std::size_t> shown_metrics(const CostModel& costs, const std::string& hardware, const Experiment& experiment) {
  if (!hardware.empty() && !experiment.hardware.contains(hardware)) {
    std::string known;
    for (const auto& [name, file] : experiment.hardware) known += (known.empty() ? "" : ", ") + name;
    throw UsageError("--hw '" + hardware + "' is not in the experiment; known: " + (known.empty() ? "none" : known));
  }
  std::vector<std::size_t> shown;
  for (std::size_t m = 0; m < costs.metrics().size(); ++m)
    if (hardware.empty() || costs.metrics()[m].hardware.empty() || costs.metrics()[m].hardware == hardware) shown.push_back(m);
  return shown;
}

struct LayerChoice {
  ChoiceId weight = kFloat, activation = kFloat;
};

LayerChoice choice_of(const Asked& asked, LayerId layer) {
  const auto& network = *asked.study.network;
  const auto l = static_cast<std::size_t>(layer);
  const SiteId input = network.input_site[l];
  return {asked.assignment[static_cast<std::size_t>(network.weight_site[l])],
          input < 0 ? kFloat : asked.assignment[static_cast<std::size_t>(input)]};
}

}  // namespace

int cost_command(const CostOptions& options) {
  const auto asked = study_for(Experiment::from(load_document(options.experiment, options.set)), options.plan, options.uniform);
  const auto& costs = *asked.study.costs;
  const auto metrics = shown_metrics(costs, options.hardware, asked.study.experiment);
  const auto totals = costs.costs(asked.assignment);
  std::vector<std::size_t> additive;
  for (const auto m : metrics)
    if (costs.additive(m) && !costs.metrics()[m].name.starts_with("average")) additive.push_back(m);

  if (options.json) {
    using Json = nlohmann::ordered_json;
    Json layers = Json::array(), sums = Json::object();
    for (const auto& layer : asked.study.network->layers) {
      const auto choice = choice_of(asked, layer.id);
      Json row{{"id", layer.id}, {"node", layer.names.node}, {"module", layer.names.module},
               {"weight", (*asked.study.choices)[choice.weight].label}, {"activation", (*asked.study.choices)[choice.activation].label}};
      for (const auto m : additive)
        row[costs.metrics()[m].label()] = costs.display(m, static_cast<double>(costs.layer_cost(m, layer.id, choice.weight, choice.activation)));
      layers.push_back(std::move(row));
    }
    for (const auto m : metrics) sums[costs.metrics()[m].label()] = costs.display(m, static_cast<double>(totals[m]));
    std::cout << Json{{"assignment", asked.name}, {"layers", layers}, {"totals", sums}}.dump(1) << '\n';
    return 0;
  }
  std::vector<std::string> head{"layer", "weight", "activation"};
  for (const auto m : additive) head.push_back(costs.metrics()[m].label());
  Table table(head);
  for (const auto& layer : asked.study.network->layers) {
    const auto choice = choice_of(asked, layer.id);
    std::vector<std::string> row{layer.names.module.empty() ? layer.names.node : layer.names.module,
                                 (*asked.study.choices)[choice.weight].label, (*asked.study.choices)[choice.activation].label};
    for (const auto m : additive)
      row.push_back(costs.format(m, static_cast<double>(costs.layer_cost(m, layer.id, choice.weight, choice.activation))));
    table.row(row);
  }
  std::cout << asked.name << ", one sample\n\n" << table.text() << '\n';
  Table sums({"total", "value"});
  for (const auto m : metrics) sums.row({costs.metrics()[m].label(), costs.format(m, static_cast<double>(totals[m]))});
  std::cout << sums.text();
  return 0;
}

}  // namespace bitplan
