#pragma once
// Problems for searchers that need no real network: the loss of an assignment is a formula over its choices.

#include <cmath>
#include <fstream>
#include <functional>
#include <memory>

#include "search/run_search.hpp"
#include "tests/fixtures.hpp"

namespace bitplan::test {

/// A network, space, costs and constraints with a loss by formula: everything that run_search() needs.
struct Synthetic {
  std::shared_ptr<Network> network;
  std::shared_ptr<ChoiceTable> choices = std::make_shared<ChoiceTable>();
  std::unique_ptr<Space> space;
  std::unique_ptr<CostModel> costs;
  std::vector<Constraint> constraints;
  std::function<double(const Assignment&)> loss;  ///< of all float: 0
  std::int64_t measured = 0;                      ///< assignments that were measured
  std::uint64_t seed = 1;

  /// One variable a site; weights take `weight_bits`, activations `activation_bits` (fewest first).
  void make_space(const std::vector<int>& weight_bits, const std::vector<int>& activation_bits) {
    std::vector<Variable> variables;
    for (const Site& site : network->sites) {
      Variable v;
      v.name = site.name;
      v.kind = site.kind;
      v.sites = {site.id};
      v.elements = site.elements;
      const bool weight = site.kind == Site::Kind::weight;
      const auto defaults = weight ? ChoiceDefaults::weights() : ChoiceDefaults::activations();
      for (const int bits : weight ? weight_bits : activation_bits)
        v.options.push_back(choices->add(parse_choice("int" + std::to_string(bits), defaults, defaults)));
      variables.push_back(std::move(v));
    }
    space = std::make_unique<Space>(std::move(variables), network->sites.size());
  }

  void constrain(const std::string& metric, std::int64_t limit, const std::string& on = "") {
    constraints.push_back({costs->metric(metric, on), limit, metric, "test"});
  }
  /// A limit at this fraction of the way from the cost of the lowest to that of the largest options.
  void constrain_at(const std::string& metric, double fraction, const std::string& on = "") {
    Point low(space->variables().size(), 0), high;
    for (const Variable& v : space->variables()) high.push_back(static_cast<std::uint8_t>(v.options.size() - 1));
    const auto m = costs->metric(metric, on);
    const auto least = costs->cost(m, space->assignment(low)), most = costs->cost(m, space->assignment(high));
    constrain(metric, least + static_cast<std::int64_t>(fraction * static_cast<double>(most - least)), on);
  }

  Problem problem(const Archive& archive) const {
    return {*network, *choices, *space, *costs, constraints, archive, seed};
  }

  std::vector<Measured> measure(std::span<const Assignment> batch) {
    std::vector<Measured> results;
    for (const Assignment& assignment : batch) {
      Measured m;
      m.sums.samples = 1;
      m.sums.positions = 1;
      m.sums.kl = loss(assignment);
      results.push_back(m);
      ++measured;
    }
    return results;
  }

  /// Runs the stages (YAML, one a line) and returns what was measured.
  Archive run(const std::vector<std::string>& stages, const SearchEvents& events = {}) {
    Archive archive;
    const Problem seen = problem(archive);
    std::vector<Yaml> nodes;
    for (const std::string& text : stages) nodes.push_back(Yaml::parse_text(text, "exp.yaml"));
    run_search(
        seen, archive, find_metric("kl"), nodes, [this](std::span<const Assignment> b) { return measure(b); }, events);
    return archive;
  }
};

/// Site s with b bits costs t_s(b) = exp(N(0, spread)) 4^-(b - 3) / sites (float: 0), the loss is (sum t^p)^(1/p):
/// additive for p = 1, more than additive for p < 1.
inline std::function<double(const Assignment&)> power_loss(const Synthetic& s, std::uint64_t seed, double spread,
                                                           double power) {
  std::vector<double> scale;
  Rng rng(seed, "power_loss");
  for (std::size_t i = 0; i < s.network->sites.size(); ++i)
    scale.push_back(std::exp(spread * rng.normal()) / static_cast<double>(s.network->sites.size()));
  return [scale, power, choices = s.choices](const Assignment& assignment) {
    double sum = 0;
    for (std::size_t i = 0; i < scale.size(); ++i)
      if (const Choice& c = (*choices)[assignment[i]]; !c.is_float)
        sum += std::pow(scale[i] * std::pow(4.0, 3 - c.bits), power);
    return std::pow(sum, 1 / power);
  };
}

/// A chain of `layers` convolutions, without constraints, with the loss above.
inline Synthetic chain(int layers, std::uint64_t seed, double spread = 1.5, double power = 1.0,
                       const std::vector<int>& weight_bits = {2, 3, 4, 5, 6, 8},
                       const std::vector<int>& activation_bits = {8}) {
  Synthetic s;
  s.seed = seed;
  s.network = std::make_shared<Network>(small_network(layers));
  s.make_space(weight_bits, activation_bits);
  s.costs = std::make_unique<CostModel>(s.network, s.choices, std::map<std::string, std::filesystem::path>{});
  s.loss = power_loss(s, seed, spread, power);
  return s;
}

/// The 53 layers of MobileNetV2 for 32 x 32 images (an expansion, a depthwise and a projection convolution a block;
/// residual sums left out) as a chain without weight values.
inline Network mobilenet() {
  Network net;
  net.file = "mobilenet.onnx";
  net.opset = 17;
  TensorId value = add_tensor(net, "x", {1, 3, 32, 32}, -1);
  net.inputs = {value};
  std::int64_t inputs = 3, side = 32;
  const auto conv = [&](std::int64_t outputs, std::int64_t kernel, std::int64_t stride, bool depthwise) {
    Layer layer;
    layer.id = static_cast<LayerId>(net.layers.size());
    const std::string name = "conv" + std::to_string(layer.id);
    side /= stride;
    layer.op = "Conv";
    layer.node = static_cast<NodeId>(net.nodes.size());
    layer.groups = depthwise ? inputs : 1;
    layer.weight_shape = {outputs, inputs / layer.groups, kernel, kernel};
    layer.output_shape = {1, outputs, side, side};
    layer.weight = add_tensor(net, name + ".weight", layer.weight_shape, -1);
    net.tensors.back().constant = Tensor(DType::f32, layer.weight_shape);
    layer.input = value;
    layer.output =
        add_node(net, name, "Conv", {value, layer.weight}, "out" + std::to_string(layer.id), layer.output_shape);
    net.nodes.back().attributes["strides"] = std::vector<std::int64_t>{stride, stride};
    layer.names.module = name;
    layer.weights = element_count(layer.weight_shape);
    layer.macs = layer.weights * side * side;
    net.layers.push_back(layer);
    value = layer.output;
    inputs = outputs;
  };
  conv(32, 3, 1, false);
  constexpr std::int64_t blocks[][4] = {
      {1, 16, 1, 1}, {6, 24, 2, 1},  {6, 32, 3, 2}, {6, 64, 4, 2},
      {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};  // expansion, outputs, repeats, stride
  for (const auto& [expansion, outputs, repeats, stride] : blocks)
    for (std::int64_t r = 0; r < repeats; ++r) {
      if (expansion > 1) conv(inputs * expansion, 1, 1, false);
      conv(inputs, 3, r == 0 ? stride : 1, true);
      conv(outputs, 1, 1, false);
    }
  conv(1280, 1, 1, false);
  conv(10, 1, 1, false);
  net.outputs = {value};
  add_sites(net);
  return net;
}

/// MobileNetV2 with every weight and activation 2, 3, 4, 5, 6 or 8 bits, a size and a latency limit at once (roofline
/// of an edge accelerator), and losses as in chain().
inline Synthetic mobilenet_problem(std::uint64_t seed, double size = 0.4, double latency = 0.4, double spread = 1.5,
                                   double power = 1.0) {
  Synthetic s;
  s.seed = seed;
  s.network = std::make_shared<Network>(mobilenet());
  s.make_space({2, 3, 4, 5, 6, 8}, {2, 3, 4, 5, 6, 8});
  const std::string folder = std::string(BITPLAN_SOURCE_DIR) + "/configs/hardware/";
  s.costs = std::make_unique<CostModel>(
      s.network, s.choices, std::map<std::string, std::filesystem::path>{{"edge", folder + "edge_npu.yaml"}});
  s.constrain_at("weight_bytes", size);
  s.constrain_at("latency", latency, "edge");
  s.loss = power_loss(s, seed, spread, power);
  return s;
}

}  // namespace bitplan::test
