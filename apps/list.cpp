#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/commands.hpp"
#include "apps/table.hpp"
#include "core/error.hpp"
#include "eval/data/dataset.hpp"
#include "eval/losses/losses.hpp"
#include "eval/rewrites/rewrite.hpp"
#include "hwmodels/hardware_model.hpp"
#include "model/operator.hpp"
#include "quant/choice.hpp"
#include "quant/observers/observer.hpp"
#include "quant/roundings/level_roundings.hpp"
#include "quant/roundings/roundings.hpp"
#include "search/searcher.hpp"

namespace bitplan {
namespace {

struct Member {
  std::string name, summary;
};

template <class Rows>
std::vector<Member> members_of(const Rows& rows) {
  std::vector<Member> members;
  for (const auto& row : rows) members.push_back({std::string(row.name), std::string(row.summary)});
  return members;
}

/// Of integers and of other formats; gptq is one of both.
std::vector<Member> all_roundings() {
  std::vector<Member> members = members_of(roundings());
  for (const auto& row : level_roundings())
    if (rounding_named(row.name) == nullptr) members.push_back({std::string(row.name), std::string(row.summary)});
  return members;
}

struct Family {
  std::string_view name, summary;
  std::vector<Member> (*members)();
};

/// Every family with a table; `list` and its help walk this one.
constexpr Family kFamilies[] = {
    {"searchers", "methods under `search:`", [] { return members_of(searchers()); }},
    {"metrics", "losses for `objective:`", [] { return members_of(metrics()); }},
    {"formats", "number formats of choices", [] { return members_of(formats()); }},
    {"ranges", "`range:` of weights", [] { return members_of(range_methods()); }},
    {"roundings", "`rounding:` of weights", all_roundings},
    {"observers", "ranges of activations", [] { return members_of(observers()); }},
    {"hardware", "kinds of hardware descriptions", [] { return members_of(hardware_kinds()); }},
    {"rewrites", "of the network, under `model.rewrites:`", [] { return members_of(rewrites()); }},
    {"data", "kinds under `data:`", [] { return members_of(data_kinds()); }},
    {"operators", "ONNX operators",
     [] {
       std::vector<Member> members;
       for (const auto& row : operators())
         members.push_back({std::string(row.name), row.since > 1 ? "since opset " + std::to_string(row.since) : ""});
       return members;
     }},
};

}  // namespace

int list_command(const ListOptions& options) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  bool found = options.family.empty();
  for (const auto& family : kFamilies) {
    if (!options.family.empty() && family.name != options.family) continue;
    found = true;
    Table table({std::string(family.name), std::string(family.summary)});
    auto rows = nlohmann::ordered_json::array();
    for (const auto& member : family.members()) {
      table.row({member.name, member.summary});
      rows.push_back({{"name", member.name}, {"summary", member.summary}});
    }
    json[std::string(family.name)] = rows;
    if (!options.json) std::cout << table.text() << '\n';
  }
  if (!found) {
    std::string known;
    for (const auto& family : kFamilies) known += (known.empty() ? "" : ", ") + std::string(family.name);
    throw UsageError("'" + options.family + "' is not a family; known: " + known);
  }
  if (options.json) std::cout << json.dump(1) << '\n';
  return 0;
}

}  // namespace bitplan
