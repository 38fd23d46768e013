#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/arguments.hpp"
#include "apps/commands.hpp"
#include "apps/table.hpp"
#include "core/hash.hpp"
#include "core/units.hpp"
#include "model/import_onnx.hpp"

namespace bitplan {
namespace {

using Json = nlohmann::ordered_json;

Json tensors_json(const Network& network, const std::vector<TensorId>& ids) {
  Json out = Json::array();
  for (const auto id : ids) {
    const auto& t = network.tensor(id);
    out.push_back({{"name", t.name}, {"shape", t.shape}, {"type", name_of(t.dtype)}});
  }
  return out;
}

Json layer_json(const Network& network, const Layer& layer) {
  return {{"id", layer.id},
          {"op", layer.op},
          {"node", layer.names.node},
          {"weight", layer.names.weight},
          {"input", layer.names.input},
          {"output", layer.names.output},
          {"module", layer.names.module.empty() ? Json(nullptr) : Json(layer.names.module)},
          {"module_source", layer.names.module_source.empty() ? Json(nullptr) : Json(layer.names.module_source)},
          {"weight_shape", layer.weight_shape},
          {"output_shape", layer.output_shape},
          {"weights", layer.weights},
          {"macs", layer.macs},
          {"groups", layer.groups},
          {"folded_batch_norm", layer.folded_batch_norm},
          {"weight_site", network.site(network.weight_site[static_cast<std::size_t>(layer.id)]).name}};
}

Json activation_json(const Network& network, const Site& site) {
  Json row{{"id", site.id}, {"tensor", network.tensor(site.tensor).name}, {"elements", site.elements},
           {"layers", site.layers}};
  Json products = Json::array();
  for (const auto node : site.products) products.push_back(network.node(node).name);
  if (!site.products.empty()) row["products"] = products;
  return row;
}

struct Totals {
  std::int64_t weights = 0, macs = 0;
};

Totals totals_of(const Network& network) {
  Totals totals;
  for (const auto& site : network.sites)
    if (site.kind == Site::Kind::weight) totals.weights += site.elements;
  for (const auto& layer : network.layers) totals.macs += layer.macs;
  return totals;
}

void print_json(const Network& network) {
  Json layers = Json::array(), activations = Json::array(), ties = Json::array();
  for (const auto& layer : network.layers) layers.push_back(layer_json(network, layer));
  for (const auto& site : network.sites)
    if (site.kind == Site::Kind::activation) activations.push_back(activation_json(network, site));
  for (const auto& tie : network.ties) {
    Json names = Json::array();
    for (const auto site : tie) names.push_back(network.site(site).name);
    ties.push_back(names);
  }
  const auto totals = totals_of(network);
  const Json out{{"model", {{"file", network.file}, {"sha256", network.sha256}, {"opset", network.opset},
                            {"producer", network.producer}}},
                 {"inputs", tensors_json(network, network.inputs)},
                 {"outputs", tensors_json(network, network.outputs)},
                 {"layers", layers},
                 {"activations", activations},
                 {"ties", ties},
                 {"totals", {{"weights", totals.weights}, {"macs", totals.macs}}},
                 {"notes", network.notes},
                 {"unsupported", Json::array()}};
  std::cout << out.dump(1) << '\n';
}

void print_text(const Network& network) {
  std::cout << network.file << ": opset " << network.opset << ", " << network.producer << ", "
            << network.nodes.size() << " nodes\n";
  for (const auto id : network.inputs)
    std::cout << "input   " << network.tensor(id).name << "  " << to_string(network.tensor(id).shape) << "  "
              << name_of(network.tensor(id).dtype) << '\n';
  for (const auto id : network.outputs)
    std::cout << "output  " << network.tensor(id).name << "  " << to_string(network.tensor(id).shape) << '\n';
  for (const auto& note : network.notes) std::cout << "note    " << note << '\n';
  Table table({"id", "op", "module or node", "weight", "groups", "weights", "MACs", "input site"});
  for (const auto& layer : network.layers) {
    const SiteId input = network.input_site[static_cast<std::size_t>(layer.id)];
    table.row({std::to_string(layer.id), layer.op, layer.names.module.empty() ? layer.names.node : layer.names.module,
               to_string(layer.weight_shape), std::to_string(layer.groups), format_count(double(layer.weights)),
               format_count(double(layer.macs)), input < 0 ? "" : network.site(input).name});
  }
  const auto totals = totals_of(network);
  for (const auto& site : network.sites)
    for (const auto node : site.products)
      std::cout << "product " << network.node(node).name << " reads site " << site.name << '\n';
  std::cout << '\n' << table.text() << '\n'
            << network.layers.size() << " layers, " << format_count(double(totals.weights)) << " weights ("
            << format_bytes(4.0 * double(totals.weights)) << " in float), " << format_count(double(totals.macs))
            << " MACs a sample, " << network.sites.size() - network.weight_sites() << " activation sites, "
            << network.ties.size() << " ties\n";
}

}  // namespace

int inspect_command(const InspectOptions& options) {
  ImportOptions import;
  for (const auto& text : options.shapes) {
    const auto [name, value] = split_assignment(text, "--shape");
    import.shapes[name] = parse_shape(value, text);
  }
  import.attention_sites = options.attention;
  try {
    const auto network = import_onnx(options.model, import);
    if (options.json) print_json(network);
    else print_text(network);
  } catch (const UnsupportedModel& e) {
    if (!options.json) throw;
    Json rows = Json::array();
    for (const auto& node : e.nodes)
      rows.push_back({{"node", node.node}, {"op", node.op}, {"domain", node.domain}, {"opset", node.opset}, {"reason", node.reason}});
    std::cout << Json{{"model", {{"file", options.model.string()}, {"sha256", sha256_file(options.model)}}}, {"unsupported", rows}}.dump(1) << '\n';
    throw;
  }
  return 0;
}

}  // namespace bitplan
