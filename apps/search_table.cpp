#include "apps/search_table.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/figures.hpp"
#include "apps/table.hpp"

namespace bitplan {
namespace {

std::string cell(const Figures& figures, const std::string& metric) {
  const auto found = figures.find(metric);
  return found == figures.end() ? "-" : show(metric, found->second);
}

/// A figure in display units with its unit.
std::string with_unit(const CostModel& costs, std::size_t metric, double shown) {
  return costs.format(metric, shown / costs.display(metric, 1.0));
}

/// The metrics worth a column: the objective, and top1 when there are labels.
std::string comparison(const Study& study, const Plan& plan) {
  const std::string objective(study.experiment.objective->name);
  const bool labels = plan.holdout.contains("top1") && objective != "top1";
  std::vector<std::size_t> metrics;
  for (const auto& c : study.constraints)
    if (std::find(metrics.begin(), metrics.end(), c.metric) == metrics.end()) metrics.push_back(c.metric);
  if (metrics.empty()) metrics.push_back(study.costs->metric("weight_bytes", ""));

  std::vector<std::string> head{"", objective + " selection", objective + " holdout"};
  if (labels) head.push_back("top1 holdout");
  for (const auto m : metrics) head.push_back(study.costs->metrics()[m].label());
  Table table(head);
  const auto add = [&](const std::string& name, const Figures& selection, const Figures& holdout,
                       const std::map<std::string, double>& costs) {
    std::vector<std::string> row{name, cell(selection, objective), cell(holdout, objective)};
    if (labels) row.push_back(cell(holdout, "top1"));
    for (const auto m : metrics) row.push_back(with_unit(*study.costs, m, costs.at(study.costs->metrics()[m].label())));
    table.row(row);
  };
  for (const auto& r : plan.references) add(r.name, r.selection, r.holdout, r.costs);
  add("plan (" + plan.kind + ", by " + plan.stage + ")", plan.selection, plan.holdout, plan.costs);
  return table.text();
}

std::string layer_table(const Plan& plan) {
  Table table({"layer", "weight", "", "activation"});
  for (const auto& layer : plan.layers) {
    const auto& choice = layer.weight.choice;
    table.row({layer.names.module.empty() ? layer.names.node : layer.names.module, choice.label,
               choice.is_float ? "" : std::string(static_cast<std::size_t>(choice.bits), '#'),
               layer.activation ? layer.activation->choice.label : "-"});
  }
  return table.text();
}

}  // namespace

std::string result_text(const Study& study, const Plan& plan, const std::filesystem::path& directory) {
  std::string text = '\n' + layer_table(plan) + '\n' + comparison(study, plan) + '\n';
  for (std::size_t i = 0; i < plan.constraints.size(); ++i) {
    const auto& c = plan.constraints[i];
    const auto metric = study.constraints[i].metric;
    text += c.text + ": used " + with_unit(*study.costs, metric, c.used) + " of " + with_unit(*study.costs, metric, c.limit) + '\n';
  }
  const bool any_uniform = plan.references.size() > 1;
  if (plan.kind == "uniform") text += "No mixed plan measured better on selection data: the uniform one is returned.\n";
  if (!any_uniform) text += "No uniform plan of this space holds the constraints.\n";
  const auto best = (directory / "plans" / "best.json").string();
  text += "\nplan       " + best + "\nfront      " + (directory / "plans" / "front.json").string() +
          "\nrun        " + directory.string() + "  (bitplan status " + directory.string() + ")\n";
  return text;
}

std::string result_json(const Study& study, const Plan& plan, const std::filesystem::path& directory) {
  using Json = nlohmann::ordered_json;
  Json references = Json::array();
  for (const auto& r : plan.references)
    references.push_back({{"name", r.name}, {"selection", losses_json(r.selection)}, {"holdout", losses_json(r.holdout)}, {"costs", r.costs}});
  Json constraints = Json::array();
  for (const auto& c : plan.constraints)
    constraints.push_back({{"text", c.text}, {"limit", c.limit}, {"used", c.used}, {"slack", c.slack}});
  const Json out{{"name", plan.name},
                 {"state", "done"},
                 {"objective", plan.objective},
                 {"kind", plan.kind},
                 {"stage", plan.stage},
                 {"selection", losses_json(plan.selection)},
                 {"holdout", losses_json(plan.holdout)},
                 {"holdout_intervals", intervals_json(plan.holdout)},
                 {"costs", plan.costs},
                 {"constraints", constraints},
                 {"references", references},
                 {"trials", std::stoll(plan.provenance.at("trials"))},
                 {"trace", plan.provenance.at("trace")},
                 {"plan", (directory / "plans" / "best.json").string()},
                 {"directory", directory.string()},
                 {"layers", static_cast<std::int64_t>(study.network->layers.size())}};
  return out.dump(1) + '\n';
}

}  // namespace bitplan
