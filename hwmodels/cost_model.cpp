#include "hwmodels/cost_model.hpp"

#include <algorithm>
#include <cassert>

#include "core/error.hpp"
#include "hwmodels/base_units.hpp"
#include "hwmodels/cost_tables.hpp"

namespace bitplan {

struct CostModel::Impl {
  CostTables tables;
  std::shared_ptr<const Network> network;
  std::shared_ptr<const ChoiceTable> choices;
};

CostModel::CostModel(std::shared_ptr<const Network> network, std::shared_ptr<const ChoiceTable> choices,
                     const std::map<std::string, std::filesystem::path>& hardware)
    : impl_(std::make_shared<Impl>(Impl{CostTables(*network, *choices, hardware), network, choices})) {}

const std::vector<CostMetric>& CostModel::metrics() const { return impl_->tables.metrics(); }

std::size_t CostModel::metric(std::string_view name, std::string_view hardware) const {
  return impl_->tables.find(name, hardware);
}

bool CostModel::additive(std::size_t metric) const { return metrics()[metric].name != "peak_activation_bytes"; }

const std::vector<LayerId>& CostModel::layers_of(SiteId site) const { return impl_->network->site(site).layers; }

std::int64_t CostModel::layer_cost(std::size_t metric, LayerId layer, ChoiceId weight, ChoiceId activation) const {
  if (!additive(metric)) return 0;
  const std::int64_t cost = impl_->tables.layer(metric, layer, weight, activation);
  if (cost != kNotGiven) return cost;
  const Choice &w = (*impl_->choices)[weight], &a = (*impl_->choices)[activation];
  const bool embedding = impl_->network->input_site[static_cast<std::size_t>(layer)] < 0;
  if (w.is_float || (a.is_float && !embedding)) return kUnknownCost;
  throw InputError("hardware '" + metrics()[metric].hardware + "': its table has no " + metrics()[metric].name +
                   " of layer '" + LayerFacts::of(*impl_->network, layer).name + "' with " + std::to_string(w.bits) +
                   "-bit weights" + (embedding ? "" : " and " + std::to_string(a.bits) + "-bit activations") +
                   "; measure it, leave the choice out of the space, or set missing: round_up");
}

std::int64_t CostModel::cost(std::size_t metric, const Assignment& assignment) const {
  const Network& network = *impl_->network;
  assert(assignment.size() == network.sites.size());
  if (!additive(metric)) return impl_->tables.peak_activation_bytes(assignment);
  std::int64_t sum = 0;
  for (std::size_t l = 0; l < network.layers.size(); ++l) {
    const ChoiceId weight = assignment[static_cast<std::size_t>(network.weight_site[l])];
    const SiteId input = network.input_site[l];
    const ChoiceId activation = input < 0 ? kFloat : assignment[static_cast<std::size_t>(input)];
    const std::int64_t cost = layer_cost(metric, static_cast<LayerId>(l), weight, activation);
    if (cost == kUnknownCost) return kUnknownCost;
    sum += cost;  // no overflow: CostTables bounds the sum of the largest cells
  }
  return sum;
}

std::vector<std::int64_t> CostModel::costs(const Assignment& assignment) const {
  std::vector<std::int64_t> costs;
  for (std::size_t m = 0; m < metrics().size(); ++m) costs.push_back(cost(m, assignment));
  return costs;
}

double CostModel::display(std::size_t metric, double value) const {
  const std::string& name = metrics()[metric].name;
  const double weights = static_cast<double>(std::max<std::int64_t>(1, impl_->tables.weights()));
  if (name == "average_weight_bits") return 8 * value / weights;
  if (name == "average_code_bits") return value / weights;
  if (name == "latency") return value * 1e-12;
  if (name == "energy") return value * 1e-15;
  return value;
}

std::string CostModel::format(std::size_t metric, double value) const {
  if (value >= static_cast<double>(kUnknownCost)) return "not known";
  const std::string& name = metrics()[metric].name;
  const double shown = display(metric, value);
  if (name == "latency") return format_seconds(shown);
  if (name == "energy") return format_joules(shown);
  if (name == "bops") return format_count(shown);
  if (name.starts_with("average_")) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g bits", shown);
    return text;
  }
  return format_bytes(shown);
}

std::int64_t CostModel::limit(std::size_t metric, const Quantity& quantity) const {
  using Kind = Quantity::Kind;
  const std::string& name = metrics()[metric].name;
  const bool bytes = name == "weight_bytes" || name == "peak_activation_bytes";
  const Kind kind = name == "latency"  ? Kind::time
                    : name == "energy" ? Kind::energy
                    : bytes            ? Kind::bytes
                                       : Kind::plain;
  const bool fits = quantity.kind == kind || (bytes && quantity.kind == Kind::plain);
  if (!fits) {
    const char* needs = kind == Kind::time     ? "a time (as 2ms)"
                        : kind == Kind::energy ? "an energy (as 900uJ)"
                        : kind == Kind::bytes  ? "a number of bytes (as 1.2MB or 1200000)"
                                               : "a plain number without unit";
    throw InputError(name + " needs " + needs + " or a percentage of the 8-bit uniform plan");
  }
  if (!(quantity.value > 0)) throw InputError("a limit must be above 0");
  if (bytes && quantity.kind == Kind::plain && quantity.value != std::floor(quantity.value))
    throw InputError("a number of bytes without unit must be whole");
  // display() is linear: its inverse takes the user's number to base units.
  const auto units = units_down(quantity.value / display(metric, 1));
  if (!units) throw InputError("the limit is too large");
  return *units;
}

}  // namespace bitplan
