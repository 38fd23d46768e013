#include "plan/plan_rewrites.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.hpp"

namespace bitplan {
namespace {

std::string listed(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : ", ") + text;
  return out.empty() ? "none" : out;
}

}  // namespace

nlohmann::ordered_json rewrites_json(std::span<const RewriteRecord> records, const PutArray& put) {
  auto out = nlohmann::ordered_json::array();
  for (std::size_t r = 0; r < records.size(); ++r) {
    nlohmann::ordered_json row{{"kind", records[r].spec.kind}};
    for (const auto& [name, value] : records[r].spec.parameters) row[name] = value;
    auto folds = nlohmann::ordered_json::array();
    for (std::size_t f = 0; f < records[r].folds.size(); ++f) {
      const RewriteFold& fold = records[r].folds[f];
      const auto name = "rewrites." + std::to_string(r) + ".folds." + std::to_string(f) + ".factors";
      folds.push_back(
          {{"tensor", fold.tensor},
           {"from", fold.from},
           {"constants", fold.constants},
           {"caps", fold.caps},
           {"inserted", fold.inserted.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(fold.inserted)},
           {"to", fold.to},
           {"factors", put(name, fold.factors)}});
    }
    row["folds"] = std::move(folds);
    out.push_back(std::move(row));
  }
  return out;
}

std::vector<std::string> read_rewrites_json(const std::string& file, const nlohmann::json& plan) {
  std::vector<std::string> texts;
  if (!plan.contains("rewrites")) return texts;
  const auto& rows = plan.at("rewrites");
  if (!rows.is_array()) throw InputError(file + ": rewrites: must be a list");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto path = file + ": rewrites[" + std::to_string(i) + "]";
    const auto& row = rows[i];
    if (!row.is_object() || !row.contains("kind") || !row["kind"].is_string())
      throw InputError(path + ": 'kind' must be text");
    RewriteSpec spec{row["kind"].get<std::string>(), {}, {}};
    for (const auto& [key, value] : row.items()) {
      if (key == "kind" || key == "folds") continue;
      if (!value.is_number()) throw InputError(path + '.' + key + ": must be a number");
      spec.parameters[key] = value.get<double>();
    }
    texts.push_back(spec.text());
  }
  return texts;
}

void check_same_rewrites(const std::string& plan_file, std::span<const std::string> planned,
                         std::span<const RewriteSpec> specs) {
  std::vector<std::string> wanted;
  for (const RewriteSpec& spec : specs) wanted.push_back(spec.text());
  if (std::ranges::equal(planned, wanted)) return;
  throw InputError(plan_file + ": was made for a network with these rewrites: " +
                   listed({planned.begin(), planned.end()}) + "; model.rewrites of the experiment: " + listed(wanted));
}

}  // namespace bitplan
