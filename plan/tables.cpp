#include "plan/tables.hpp"

#include <nlohmann/json.hpp>
#include <sstream>

#include "core/files.hpp"

namespace bitplan {
namespace {

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + '"';
}

}  // namespace

std::vector<SensitivityRow> sensitivity_rows(const Space& space, const ChoiceTable& choices, const Archive& archive,
                                             const Metric& metric) {
  std::vector<SensitivityRow> rows;
  const auto add = [&](const Assignment& assignment, const std::string& variable, const std::string& kind,
                       const std::string& choice, std::size_t sites) {
    const auto* trial = archive.find(assignment);
    if (trial == nullptr || trial->measurement.status != Measurement::Status::ok) return;
    rows.push_back({variable, kind, choice, sites, metric.value(trial->measurement.sums), trial->measurement.loss});
  };
  add(space.all_float(), "-", "-", "float", 0);
  for (const auto& variable : space.variables()) {
    for (const auto option : variable.options) {
      if (choices[option].is_float) continue;
      auto alone = space.all_float();
      for (const auto site : variable.sites) alone[static_cast<std::size_t>(site)] = option;
      add(alone, variable.name, variable.kind == Site::Kind::weight ? "weight" : "activation", choices[option].label,
          variable.sites.size());
    }
  }
  return rows;
}

void write_sensitivity_csv(const std::filesystem::path& file, const std::vector<SensitivityRow>& rows) {
  std::ostringstream out;
  out.precision(9);
  out << "variable,kind,sites,choice,loss,low,high\n";
  for (const auto& row : rows)
    out << quoted(row.variable) << ',' << row.kind << ',' << row.sites << ',' << quoted(row.choice) << ','
        << row.loss.value << ',' << row.loss.low << ',' << row.loss.high << '\n';
  write_text_atomically(file, out.str());
}

void write_front(const std::filesystem::path& file, const Network& network, const ChoiceTable& choices,
                 const CostModel& costs, const Archive& archive, const std::vector<std::size_t>& metrics) {
  using Json = nlohmann::ordered_json;
  Json out{{"format", "bitplan-front"}, {"version", 1}, {"metrics", Json::array()}, {"points", Json::array()}};
  for (const auto m : metrics) out["metrics"].push_back(costs.metrics()[m].label());
  for (const auto* trial : archive.front(metrics)) {
    Json shown = Json::object(), sites = Json::object();
    for (std::size_t m = 0; m < trial->measurement.costs.size(); ++m)
      shown[costs.metrics()[m].label()] = costs.display(m, static_cast<double>(trial->measurement.costs[m]));
    for (const auto& site : network.sites)
      sites[site.name] = choices[trial->assignment[static_cast<std::size_t>(site.id)]].label;
    out["points"].push_back({{"trial", trial->id}, {"stage", trial->stage}, {"loss", trial->measurement.loss},
                             {"costs", std::move(shown)}, {"choices", std::move(sites)}});
  }
  write_text_atomically(file, out.dump(1) + '\n');
}

}  // namespace bitplan
