#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/files.hpp"
#include "eval/finish.hpp"
#include "plan/parse_json.hpp"
#include "plan/plan.hpp"
#include "plan/plan_rewrites.hpp"

namespace bitplan {
namespace {

using Json = nlohmann::json;

/// Strict access with a message that names the place.
struct Reader {
  const std::string& file;

  [[noreturn]] void fail(const std::string& path, const std::string& problem) const {
    throw InputError(file + ": " + path + ": " + problem);
  }
  const Json& at(const Json& object, const std::string& path, const char* key) const {
    if (!object.is_object() || !object.contains(key)) fail(path, std::string("'") + key + "' is missing");
    return object.at(key);
  }
  std::string text(const Json& object, const std::string& path, const char* key) const {
    const auto& value = at(object, path, key);
    if (!value.is_string()) fail(path + '.' + key, "must be text");
    return value.get<std::string>();
  }
  std::string text_or_null(const Json& object, const char* key) const {
    if (object.is_object() && object.contains(key) && object.at(key).is_string()) return object.at(key).get<std::string>();
    return {};
  }
  Choice choice(const Json& object, const std::string& path, const ChoiceDefaults& defaults) const {
    const auto label = text(object, path, "choice");
    try {
      return parse_choice(label, defaults, defaults);
    } catch (const InputError& e) {
      fail(path + ".choice", e.what());
    }
  }
};

std::vector<std::string> read_finish(const Reader& in, const Json& list) {
  if (!list.is_array()) in.fail("finish", "must be a list");
  std::vector<std::string> passes;
  for (const auto& pass : list) {
    if (!pass.is_string()) in.fail("finish", "must be a list of texts");
    passes.push_back(pass.get<std::string>());
  }
  try {
    finish_named(passes);
  } catch (const InputError& e) {
    in.fail("finish", list.dump() + ": " + e.what());
  }
  return passes;
}

PlanAssignment::Row read_row(const Reader& in, const Json& layer, const std::string& path) {
  PlanAssignment::Row row;
  const auto& names = in.at(layer, path, "names");
  row.names.node = in.text_or_null(names, "node");
  row.names.weight = in.text_or_null(names, "weight");
  row.names.module = in.text_or_null(names, "module");
  row.weight = in.choice(in.at(layer, path, "weight"), path + ".weight", ChoiceDefaults::weights());
  const auto& activation = in.at(layer, path, "activation");
  if (!activation.is_null()) {
    row.tensor = in.text(activation, path + ".activation", "tensor");
    row.activation = in.choice(activation, path + ".activation", ChoiceDefaults::activations());
  }
  return row;
}

}  // namespace

std::vector<Choice> PlanAssignment::choices() const {
  std::vector<Choice> all;
  for (const auto& row : rows) {
    all.push_back(row.weight);
    if (row.activation) all.push_back(*row.activation);
  }
  for (const auto& product : products) all.push_back(product.choice);
  return all;
}

PlanAssignment read_plan(const std::filesystem::path& file) {
  PlanAssignment plan{.file = file.string(), .model_sha256 = {}, .rows = {}, .products = {}, .rewrites = {}, .finish = {}};
  const Reader in{plan.file};
  const Json json = parse_json(plan.file, read_text(file));
  if (!json.is_object() || json.value("format", Json()) != "bitplan-plan")
    throw InputError(plan.file + ": is not a plan (\"format\" must be \"bitplan-plan\")");
  if (json.value("version", Json()) != 1) throw InputError(plan.file + ": version must be 1");
  plan.rewrites = read_rewrites_json(plan.file, json);
  if (json.contains("finish")) plan.finish = read_finish(in, json["finish"]);
  plan.model_sha256 = in.text(in.at(json, "model", "model"), "model", "sha256");
  const auto& layers = in.at(json, "plan", "layers");
  if (!layers.is_array()) in.fail("layers", "must be a list");
  for (std::size_t i = 0; i < layers.size(); ++i)
    plan.rows.push_back(read_row(in, layers[i], "layers[" + std::to_string(i) + "]"));
  if (!json.contains("products")) return plan;
  if (!json["products"].is_array()) in.fail("products", "must be a list");
  for (std::size_t i = 0; i < json["products"].size(); ++i) {
    const auto path = "products[" + std::to_string(i) + "]";
    const auto& activation = in.at(json["products"][i], path, "activation");
    plan.products.push_back({in.text(activation, path + ".activation", "tensor"),
                             in.choice(activation, path + ".activation", ChoiceDefaults::activations())});
  }
  return plan;
}

Assignment assignment_of(const PlanAssignment& plan, const Network& network, ChoiceTable choices) {
  Assignment assignment(network.sites.size(), kFloat);
  std::vector<bool> set(network.sites.size(), false);
  const auto put = [&](SiteId site, const Choice& choice) {
    const auto s = static_cast<std::size_t>(site);
    const auto id = choices.add(choice);
    if (set[s] && assignment[s] != id)
      throw InputError(plan.file + ": '" + network.site(site).name + "' has two choices, " + choices[assignment[s]].label +
                       " and " + choice.label);
    set[s] = true;
    assignment[s] = id;
  };
  for (const auto& layer : network.layers) {
    const auto row = std::find_if(plan.rows.begin(), plan.rows.end(), [&](const PlanAssignment::Row& r) {
      return r.names.node == layer.names.node && r.names.weight == layer.names.weight;
    });
    if (row == plan.rows.end())
      throw InputError(plan.file + ": has no layer for node '" + layer.names.node + "' (weight '" + layer.names.weight +
                       "') of " + network.file);
    const auto l = static_cast<std::size_t>(layer.id);
    put(network.weight_site[l], row->weight);
    if (const SiteId input = network.input_site[l]; input >= 0) {
      if (!row->activation) throw InputError(plan.file + ": layer '" + layer.names.node + "' has no activation");
      put(input, *row->activation);
    }
  }
  for (const auto& product : plan.products) {
    const auto site = std::find_if(network.sites.begin(), network.sites.end(), [&](const Site& s) {
      return !s.products.empty() && network.tensor(s.tensor).name == product.tensor;
    });
    if (site == network.sites.end())
      throw InputError(plan.file + ": '" + product.tensor +
                       "' is no operand of an attention product here; set space.activations.attention: true");
    put(site->id, product.choice);
  }
  for (const auto& site : network.sites)
    if (!site.products.empty() && !set[static_cast<std::size_t>(site.id)])
      throw InputError(plan.file + ": has no choice for '" + site.name +
                       "', an operand of an attention product; it was made with space.activations.attention: false");
  return assignment;
}

}  // namespace bitplan
