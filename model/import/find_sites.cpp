#include <map>
#include <set>

#include "model/import/draft.hpp"

namespace bitplan {
namespace {

std::string unique_name(std::string name, std::set<std::string>& taken) {
  const std::string base = name;
  for (int i = 2; !taken.insert(name).second; ++i) name = base + "#" + std::to_string(i);
  return name;
}

std::string weight_site_name(const Layer& layer, std::set<std::string>& taken) {
  const std::string by_module = layer.names.module + ".weight";
  if (!layer.names.module.empty() && taken.insert(by_module).second) return by_module;
  return unique_name(layer.names.node + ".weight", taken);
}

}  // namespace

void find_sites(Network& network) {
  std::set<std::string> taken;
  std::map<TensorId, SiteId> site_of;
  const auto add = [&](Site::Kind kind, TensorId tensor, std::int64_t elements, std::string name) {
    const auto id = static_cast<SiteId>(network.sites.size());
    network.sites.push_back({kind, id, tensor, {}, elements, std::move(name)});
    site_of.emplace(tensor, id);
    return id;
  };
  const auto join = [&](SiteId site, const Layer& layer) {
    network.sites[static_cast<std::size_t>(site)].layers.push_back(layer.id);
    return site;
  };
  for (const Layer& layer : network.layers) {
    const auto known = site_of.find(layer.weight);
    const SiteId site = known != site_of.end()
                            ? known->second
                            : add(Site::Kind::weight, layer.weight, layer.weights, weight_site_name(layer, taken));
    network.weight_site.push_back(join(site, layer));
  }
  for (const Layer& layer : network.layers) {
    if (layer.op == "Gather") {
      network.input_site.push_back(-1);
      continue;
    }
    const auto known = site_of.find(layer.input);
    const TensorInfo& tensor = network.tensor(layer.input);
    const SiteId site = known != site_of.end()
                            ? known->second
                            : add(Site::Kind::activation, layer.input, element_count(tensor.shape) / network.batch,
                                  unique_name(tensor.name, taken));
    network.input_site.push_back(join(site, layer));
  }
}

}  // namespace bitplan
