#include <array>

#include "core/error.hpp"
#include "hwmodels/hardware_model.hpp"
#include "hwmodels/roofline.hpp"
#include "hwmodels/table.hpp"

namespace bitplan {

std::span<const HardwareKind> hardware_kinds() {
  static constexpr std::array kKinds{
      HardwareKind{"roofline", "the longer of arithmetic and traffic, from peak rates and bandwidth", make_roofline},
      HardwareKind{"table", "measured costs of each layer at each pair of bits, from a CSV file", make_table},
  };
  return kKinds;
}

LayerFacts LayerFacts::of(const Network& network, LayerId id) {
  const Layer& layer = network.layer(id);
  const auto per_sample = [&](const Shape& shape) {
    return (element_count(shape) + network.batch - 1) / network.batch;
  };
  LayerFacts facts;
  facts.id = id;
  facts.name = layer.names.module.empty() ? network.node(layer.node).name : layer.names.module;
  facts.op = layer.op;
  facts.macs = layer.macs;
  facts.weights = layer.weights;
  facts.inputs = per_sample(network.tensor(layer.input).shape);
  facts.outputs = per_sample(layer.output_shape);
  facts.groups = layer.groups;
  return facts;
}

std::unique_ptr<HardwareModel> load_hardware(const std::filesystem::path& file, const Network& network) {
  const Yaml description = Yaml::parse_file(file);
  const Yaml kind = description.at("kind");
  description.at("name").text();
  std::string known;
  for (const HardwareKind& entry : hardware_kinds()) {
    if (entry.name == kind.text()) return entry.make(description, network);
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  kind.fail("'" + kind.text() + "' is not a kind of hardware model; known: " + known);
}

}  // namespace bitplan
