#include "hwmodels/cost_model.hpp"

#include "core/error.hpp"
#include "tests/catch.hpp"
#include "tests/fixtures.hpp"
#include "tests/hwmodels/hardware_files.hpp"

using namespace bitplan;
using Catch::Matchers::Contains;

namespace {

struct Model {
  std::shared_ptr<Network> network;
  std::shared_ptr<ChoiceTable> choices = std::make_shared<ChoiceTable>();
  ChoiceId w2, w4, w8, g16, affine8, a4, a8;
  std::unique_ptr<CostModel> costs;

  explicit Model(Network net, const std::map<std::string, std::filesystem::path>& hardware = {})
      : network(std::make_shared<Network>(std::move(net))) {
    const auto weight = [&](const char* text) {
      return choices->add(parse_choice(text, ChoiceDefaults::weights(), ChoiceDefaults::weights()));
    };
    const auto activation = [&](const char* text) {
      return choices->add(parse_choice(text, ChoiceDefaults::activations(), ChoiceDefaults::activations()));
    };
    w2 = weight("int2"), w4 = weight("int4"), w8 = weight("int8"), g16 = weight("int4:g16"),
    affine8 = weight("int8+affine");
    a4 = activation("int4"), a8 = activation("int8");
    costs = std::make_unique<CostModel>(network, choices, hardware);
  }
  std::int64_t cost(const std::string& metric, const Assignment& assignment, const std::string& on = "") const {
    return costs->cost(costs->metric(metric, on), assignment);
  }
  std::size_t index(const std::string& metric, const std::string& on = "") const { return costs->metric(metric, on); }
};

Quantity quantity(const char* text) { return *parse_quantity(text); }

const std::string kEdge =
    "kind: roofline\nname: e\nnative:\n  - {w: 8, a: 8, gops: 100}\n  - {w: float, a: float, gops: 10}\n"
    "bandwidth_gb_per_s: 1\nenergy: {mac: horowitz45, dram_pj_per_bit: 10}\n";

}  // namespace

TEST_CASE("weight bytes are codes, scales and zero points of each layer, rounded up") {
  // conv0 108 weights in 4 channels, conv1 288 in 8, conv2 864 in 12
  const Model m(test::small_network(3));
  CHECK(m.cost("weight_bytes", {m.w8, m.w8, m.w8, m.a8, m.a8, m.a8}) == (108 + 16) + (288 + 32) + (864 + 48));
  CHECK(m.cost("weight_bytes", {m.w4, m.w2, kFloat, m.a8, m.a8, m.a8}) == (54 + 16) + (72 + 32) + 4 * 864);
  // a zero point is a byte; groups of 16 cut the 27 weights of a channel of conv0 into 2, the 36 of conv1 into 3
  CHECK(m.cost("weight_bytes", {m.affine8, m.w8, m.w8, m.a8, m.a8, m.a8}) == (108 + 20) + (288 + 32) + (864 + 48));
  CHECK(m.cost("weight_bytes", {m.g16, m.g16, m.w8, m.a8, m.a8, m.a8}) == (54 + 32) + (144 + 96) + (864 + 48));
}

TEST_CASE("bits that do not fill a byte are rounded up layer by layer") {
  Network net = test::small_network(2);
  net.layers[0].weight_shape = {1, 3, 1, 1};  // 3 weights of 2 bits and a scale: 38 bits
  net.layers[0].weights = net.sites[0].elements = 3;
  net.layers[1].weight_shape = {1, 1, 1, 1};  // 34 bits
  net.layers[1].weights = net.sites[1].elements = 1;
  const Model m(net);
  CHECK(m.cost("weight_bytes", {m.w2, m.w2, m.a8, m.a8}) == 5 + 5);
}

TEST_CASE("average_weight_bits is 8 weight_bytes over the weights, average_code_bits counts codes alone") {
  const Model m(test::small_network(3));
  const Assignment all4{m.w4, m.w4, m.w4, m.a8, m.a8, m.a8};
  const auto stored = m.index("average_weight_bits"), code = m.index("average_code_bits");
  CHECK(m.costs->cost(stored, all4) == m.cost("weight_bytes", all4));
  CHECK(m.costs->display(stored, static_cast<double>(m.costs->cost(stored, all4))) == Approx(8.0 * 726 / 1260));
  CHECK(m.costs->cost(code, all4) == 4 * 1260);
  CHECK(m.costs->display(code, 4 * 1260) == 4);
  CHECK(m.costs->format(code, 4 * 1260) == "4 bits");
}

TEST_CASE("bops are MACs times weight bits times activation bits, float counting as 32") {
  const Model m(test::small_network(3));
  CHECK(m.cost("bops", {m.w4, m.w8, kFloat, m.a8, kFloat, m.a4}) == 16 * (108 * 4 * 8 + 288 * 8 * 32 + 864 * 32 * 4));
}

TEST_CASE("the activation of an embedding plays no role") {
  Network net = test::small_network(1);
  net.layers[0].op = "Gather";
  net.layers[0].macs = 0;
  net.input_site[0] = -1;
  net.sites.pop_back();
  test::Folder folder;
  const Model m(net, {{"edge", folder.write("e.yaml", kEdge)}});
  CHECK(m.cost("bops", {m.w4}) == 0);
  // 48 inputs of the fixture are indices; outputs 64 at 32 bits; the whole table of 70 bytes, cut to 64 of 108 weights
  CHECK(m.cost("latency", {m.w4}) == 1000 * (256 + (70 * 64 + 107) / 108));
  for (const ChoiceId a : {kFloat, m.a4, m.a8})
    CHECK(m.costs->layer_cost(m.index("latency"), 0, m.w4, a) == m.cost("latency", {m.w4}));
}

TEST_CASE("peak_activation_bytes is the largest cut, sites at their bits and other tensors at 32") {
  // cuts {x 48, a 64}, {a, b 128}, {b, y 192}; y is no site
  const Model m(test::small_network(3, false));
  CHECK(m.cost("peak_activation_bytes", {m.w8, m.w8, m.w8, m.a8, m.a8, m.a8}) == 128 + 768);
  CHECK(m.cost("peak_activation_bytes", {m.w8, m.w8, m.w8, m.a8, m.a8, m.a4}) == 64 + 768);
  CHECK(m.cost("peak_activation_bytes", {m.w8, m.w8, m.w8, kFloat, kFloat, kFloat}) == 512 + 768);
  CHECK_FALSE(m.costs->additive(m.index("peak_activation_bytes")));
  CHECK(m.costs->layer_cost(m.index("peak_activation_bytes"), 0, m.w8, m.a8) == 0);
}

TEST_CASE("peak_activation_bytes is for one sample whatever batch the network is bound to") {
  Network net = test::small_network(3, false);
  net.batch = 4;
  for (TensorInfo& tensor : net.tensors)
    if (!tensor.constant) tensor.shape[0] = 4;
  const Model m(net);
  CHECK(m.cost("peak_activation_bytes", {m.w8, m.w8, m.w8, m.a8, m.a8, m.a8}) == 128 + 768);
}

TEST_CASE("integer tensors count at their own size in the peak") {
  Network net = test::small_network(1, false);
  net.tensors[static_cast<std::size_t>(net.outputs[0])].dtype = DType::i64;
  const Model m(net);
  CHECK(m.cost("peak_activation_bytes", {m.w8, m.a8}) == 48 + 8 * 64);
}

TEST_CASE("a tensor read only through a view is kept at the bits of the view's site") {
  Network net = test::small_network(1, false);
  // x -> Flatten -> flat, and the layer reads flat
  const TensorId flat = test::add_node(net, "flatten", "Flatten", {net.inputs[0]}, "flat", {1, 48});
  std::swap(net.nodes[0], net.nodes[1]);
  net.layers[0].node = 1;
  net.nodes[1].inputs[0] = flat;
  net.layers[0].input = net.sites[1].tensor = flat;
  net.tensors[static_cast<std::size_t>(net.inputs[0])].consumers = {0};
  net.tensors[static_cast<std::size_t>(flat)].producer = 0;
  net.tensors[static_cast<std::size_t>(flat)].consumers = {1};
  net.tensors[static_cast<std::size_t>(net.outputs[0])].producer = 1;
  const Model m(net);
  CHECK(m.cost("peak_activation_bytes", {m.w8, m.a4}) == 24 + 256);
}

TEST_CASE("latency and energy come from each machine under its key") {
  test::Folder folder;
  const Model m(test::small_network(2), {{"edge", folder.write("e.yaml", kEdge)},
                                         {"fast", folder.write("f.yaml",
                                                               "kind: roofline\nname: f\nnative:\n"
                                                               "  - {w: float, a: float, gops: 1}\n"
                                                               "bandwidth_gb_per_s: 1000\n")}});
  std::vector<std::string> labels;
  for (const CostMetric& metric : m.costs->metrics()) labels.push_back(metric.label());
  CHECK(labels == std::vector<std::string>{"weight_bytes", "average_weight_bits", "average_code_bits", "bops",
                                           "peak_activation_bytes", "latency@edge", "energy@edge", "latency@fast"});
  const Assignment all8{m.w8, m.w8, m.a8, m.a8};
  // bytes: 124 + 48 + 64 and 320 + 64 + 128 at 1 GB/s; operations 3456 and 9216 at 100 G/s are faster
  CHECK(m.cost("latency", all8, "edge") == 1000 * (236 + 512));
  CHECK(m.cost("latency", all8, "fast") == 1000 * (3456 + 9216));
  CHECK(m.costs->costs(all8)[5] == 1000 * (236 + 512));
  CHECK(m.costs->layer_cost(m.index("latency", "edge"), 1, m.w8, m.a8) == 512000);

  CHECK_THROWS_WITH(m.index("latency"), "latency needs 'on', one of: edge, fast");
  CHECK_THROWS_WITH(m.index("latency", "ege"), "'ege' is not a machine of this experiment; known: edge, fast");
  CHECK_THROWS_WITH(m.index("energy", "fast"), "the hardware 'fast' has no figures for energy");
  CHECK_THROWS_WITH(m.index("bops", "edge"), "bops does not depend on hardware; leave out 'on'");
  CHECK_THROWS_WITH(m.index("weight_byte"),
                    "'weight_byte' is not a metric; known: weight_bytes, average_weight_bits, average_code_bits, bops, "
                    "peak_activation_bytes, latency, energy");
}

TEST_CASE("with one machine 'on' may be left out, without any it is missing") {
  test::Folder folder;
  const Model one(test::small_network(1), {{"edge", folder.write("e.yaml", kEdge)}});
  CHECK(one.costs->metrics()[one.index("latency")].hardware == "edge");
  const Model none(test::small_network(1));
  CHECK_THROWS_WITH(none.index("latency"), "latency needs a machine; the experiment has none under 'hardware'");
}

TEST_CASE("a pair that a table lacks is an error for integers and not known for float") {
  test::Folder folder;
  folder.write("c.csv", "layer,w_bits,a_bits,metric,value,unit\nconv0,8,8,latency,1,us\nconv0,4,8,latency,0.5,us\n");
  const Model m(test::small_network(1), {{"board", folder.write("h.yaml", "kind: table\nname: b\nfile: c.csv\n")}});
  CHECK(m.cost("latency", {m.w4, m.a8}) == 500000);
  CHECK(m.cost("latency", {kFloat, kFloat}) == kUnknownCost);
  CHECK(m.cost("latency", {m.w4, kFloat}) == kUnknownCost);
  CHECK(m.costs->format(m.index("latency"), static_cast<double>(kUnknownCost)) == "not known");
  CHECK_THROWS_WITH(
      m.cost("latency", {m.w2, m.a8}),
      "hardware 'board': its table has no latency of layer 'conv0' with 2-bit weights and 8-bit activations; "
      "measure it, leave the choice out of the space, or set missing: round_up");
  CHECK_THROWS_AS(m.costs->costs({m.w2, m.a8}), InputError);
}

TEST_CASE("a weight that two layers share is stored once and computed twice") {
  Network net = test::small_network(3);
  // layer 2 takes the weight site of layer 1 (the shapes do not matter here)
  net.weight_site[2] = 1;
  net.sites[1].layers = {1, 2};
  net.sites[2].layers = {};
  net.sites[2].elements = 0;
  const Model m(net);
  const Assignment all8{m.w8, m.w8, m.w8, m.a8, m.a8, m.a8};
  CHECK(m.cost("weight_bytes", all8) == 124 + 320);
  CHECK(m.cost("average_code_bits", all8) == 8 * (108 + 288));
  CHECK(m.cost("bops", all8) == 64 * 16 * 1260);
}

TEST_CASE("costs of an assignment are the sums of its layers, for every metric and pair") {
  test::Folder folder;
  const Model m(test::small_network(2), {{"edge", folder.write("e.yaml", kEdge)}});
  const auto n = static_cast<ChoiceId>(m.choices->size());
  for (ChoiceId w0 = 0; w0 < n; ++w0)
    for (ChoiceId a1 = 0; a1 < n; ++a1) {
      const Assignment assignment{w0, m.w4, m.a8, a1};
      const auto costs = m.costs->costs(assignment);
      for (std::size_t k = 0; k < costs.size(); ++k) {
        CHECK(costs[k] == m.costs->cost(k, assignment));
        if (m.costs->additive(k))
          CHECK(costs[k] == m.costs->layer_cost(k, 0, w0, m.a8) + m.costs->layer_cost(k, 1, m.w4, a1));
      }
    }
}

TEST_CASE("the layers of a site are those whose cost it changes") {
  const Model m(test::small_network(2));
  CHECK(m.costs->layers_of(0) == std::vector<LayerId>{0});
  CHECK(m.costs->layers_of(3) == std::vector<LayerId>{1});
}

TEST_CASE("limits are the largest base-unit value that the user's figure allows") {
  test::Folder folder;
  const Model m(test::small_network(3), {{"edge", folder.write("e.yaml", kEdge)}});
  const auto limit = [&](const char* metric, const char* text) {
    return m.costs->limit(m.index(metric), quantity(text));
  };
  CHECK(limit("weight_bytes", "1.2MB") == 1200000);
  CHECK(limit("weight_bytes", "1KiB") == 1024);
  CHECK(limit("weight_bytes", "900") == 900);
  CHECK(limit("peak_activation_bytes", "0.1kB") == 100);
  CHECK(limit("latency", "2ms") == 2000000000);
  CHECK(limit("latency", "2.1us") == 2100000);
  CHECK(limit("latency", "0.0015ns") == 1);
  CHECK(limit("energy", "3.3uJ") == 3300000000);
  CHECK(limit("bops", "1e9") == 1000000000);
  // 1260 weights: 4 bits are exactly uniform int4, 4.0999 a bit less than 5166
  CHECK(limit("average_code_bits", "4") == 4 * 1260);
  CHECK(limit("average_code_bits", "4.1") == 5166);
  CHECK(limit("average_code_bits", "4.0999") == 5165);
  CHECK(limit("average_weight_bits", "4.25") == 669);  // 669.375 bytes
  for (int bits = 2; bits <= 8; ++bits) {
    const std::string text = std::to_string(bits);
    CHECK(limit("average_code_bits", text.c_str()) == bits * 1260);
  }
}

TEST_CASE("a limit whose unit does not fit its metric is refused") {
  test::Folder folder;
  const Model m(test::small_network(1), {{"edge", folder.write("e.yaml", kEdge)}});
  const auto refused = [&](const char* metric, const char* text, const char* message) {
    CHECK_THROWS_WITH(m.costs->limit(m.index(metric), quantity(text)), Contains(message));
  };
  refused("weight_bytes", "2ms", "weight_bytes needs a number of bytes (as 1.2MB or 1200000)");
  refused("latency", "5", "latency needs a time (as 2ms)");
  refused("latency", "1.2MB", "latency needs a time (as 2ms)");
  refused("energy", "5s", "energy needs an energy (as 900uJ)");
  refused("average_code_bits", "4B", "average_code_bits needs a plain number without unit");
  refused("bops", "3kB", "bops needs a plain number without unit");
  refused("weight_bytes", "0", "a limit must be above 0");
  refused("weight_bytes", "-3kB", "a limit must be above 0");
  refused("weight_bytes", "0.5", "a number of bytes without unit must be whole");
  refused("latency", "1e9d", "the limit is too large");
}

TEST_CASE("values are shown with their units") {
  test::Folder folder;
  const Model m(test::small_network(3), {{"edge", folder.write("e.yaml", kEdge)}});
  CHECK(m.costs->format(m.index("weight_bytes"), 1234567) == format_bytes(1234567));
  CHECK(m.costs->format(m.index("latency"), 2.1e9) == format_seconds(2.1e-3));
  CHECK(m.costs->format(m.index("energy"), 3.3e9) == format_joules(3.3e-6));
  CHECK(m.costs->format(m.index("bops"), 12.3e9) == format_count(12.3e9));
  CHECK(m.costs->format(m.index("average_weight_bits"), 669) == "4.25 bits");
}

TEST_CASE("every metric of the table can be asked for") {
  test::Folder folder;
  const Model m(test::small_network(1), {{"edge", folder.write("e.yaml", kEdge)}});
  std::size_t count = 0;
  for (const CostMetricEntry& entry : cost_metrics()) {
    CHECK(m.costs->metrics()[m.index(std::string(entry.name))].name == entry.name);
    CHECK_FALSE(entry.summary.empty());
    ++count;
  }
  CHECK(count == m.costs->metrics().size());
}

TEST_CASE("sums that 64 bits cannot hold are refused when the model is built") {
  Network net = test::small_network(2);
  net.layers[0].macs = net.layers[1].macs = std::int64_t{1} << 52;  // each layer fits, their float bops do not
  CHECK_THROWS_WITH(Model(net), "bops: the sum over all layers is too large to count");
  net.layers[0].macs = std::int64_t{1} << 60;
  CHECK_THROWS_WITH(Model(net), "layer 'conv0': too many MACs to count");
}

TEST_CASE("outlier channels of an activation count 16 bits in bops and in memory, tokens and channels nothing") {
  // conv1 reads 4 channels of 16 elements; 30 per cent of 4 channels are 2, 1 per cent is 1
  Model m(test::small_network(2));
  const auto activation = [&](const std::string& text) {
    return m.choices->add(parse_choice(text, ChoiceDefaults::activations(), ChoiceDefaults::activations()));
  };
  const ChoiceId two = activation("int4+outliers30"), one = activation("int8:token+outliers1");
  const ChoiceId token = activation("int4:token"), channel = activation("int4:channel");
  m.costs = std::make_unique<CostModel>(m.network, m.choices, std::map<std::string, std::filesystem::path>{});
  const auto bops = [&](ChoiceId a) {
    return m.cost("bops", {kFloat, m.w4, kFloat, a}) - m.cost("bops", {kFloat, m.w4, kFloat, m.a4});
  };
  const std::int64_t macs = m.network->layers[1].macs;
  CHECK(bops(two) == macs * 4 * (2 * 16 + 2 * 4) / 4 - macs * 4 * 4);
  CHECK(bops(one) == macs * 4 * (16 + 3 * 8) / 4 - macs * 4 * 4);
  CHECK(bops(token) == 0);
  CHECK(bops(channel) == 0);
  const auto peak = [&](ChoiceId a) { return m.cost("peak_activation_bytes", {kFloat, kFloat, a, a}); };
  CHECK(peak(token) == peak(m.a4));
  CHECK(peak(channel) == peak(m.a4));
  CHECK(peak(m.a4) < peak(two));
  CHECK(peak(m.a8) < peak(one));
}
