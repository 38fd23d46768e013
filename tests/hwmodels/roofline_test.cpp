#include "hwmodels/roofline.hpp"

#include "core/error.hpp"
#include "tests/catch.hpp"
#include "tests/fixtures.hpp"
#include "tests/hwmodels/hardware_files.hpp"

using namespace bitplan;
using Catch::Matchers::Contains;

namespace {

/// 1,000 MACs, 80 weights, 40 inputs, 20 outputs.
LayerFacts facts() { return {0, "conv", "Conv", 1000, 80, 40, 20, 1}; }

Roofline machine() {
  Roofline::Spec spec;
  // out of order on purpose: the smallest pair counts, not the first
  spec.native = {{32, 32, 1, 10}, {8, 8, 100, 2}, {4, 8, 200, 1}, {4, 4, 400, 0.5}};
  spec.gb_per_s = 1;
  spec.launch_s = 1e-9;
  spec.energy = Roofline::EnergySource::native;
  spec.dram_pj_per_bit = 3;
  return Roofline(spec);
}

std::unique_ptr<HardwareModel> read(const std::string& text) {
  return make_roofline(Yaml::parse_text(text, "hw.yaml"), test::small_network(1));
}

const std::string kGood =
    "kind: roofline\nname: n\nnative:\n  - {w: 8, a: 8, gops: 100}\n  - {w: float, a: float, gops: 10}\n"
    "bandwidth_gb_per_s: 10\n";

}  // namespace

TEST_CASE("a layer takes the longer of arithmetic and traffic, plus the launch") {
  // w8 a8: 2000 operations at 100 G/s = 20 ns; 80 + 60 bytes at 1 GB/s = 140 ns
  CHECK(machine().cost(facts(), {8, 8, 640}).latency_ps == 141000);
  // w8 float: float arithmetic 2000 ns; 80 + 240 bytes = 320 ns
  CHECK(machine().cost(facts(), {8, 32, 640}).latency_ps == 2001000);
}

TEST_CASE("a pair of bits is computed by the smallest native pair that holds both") {
  LayerFacts heavy = facts();
  heavy.macs = 1000000;  // arithmetic decides: 2e6 operations
  const auto latency = [&](int w, int a) { return machine().cost(heavy, {w, a, 8}).latency_ps - 1000; };
  CHECK(latency(8, 8) == 20000000);
  CHECK(latency(4, 8) == 10000000);
  CHECK(latency(3, 5) == 10000000);
  CHECK(latency(4, 4) == 5000000);
  CHECK(latency(2, 3) == 5000000);
  CHECK(latency(5, 2) == 20000000);
  CHECK(latency(8, 32) == 2000000000);
}

TEST_CASE("traffic counts stored weights, inputs and outputs at the layer's activation bits, rounded up to bytes") {
  LayerFacts idle = facts();
  idle.macs = 0;
  CHECK(machine().cost(idle, {4, 4, 321}).latency_ps == 1000 + 1000 * (41 + 30));
  CHECK(machine().cost(idle, {2, 3, 1}).latency_ps == 1000 + 1000 * (1 + 23));  // 60 * 3 / 8 = 22.5
}

TEST_CASE("an embedding reads only the rows that it gathers and writes float") {
  LayerFacts embedding{0, "embed", "Gather", 0, 1000, 5, 100, 1};
  // a tenth of 8000 bits, 100 outputs of 4 bytes
  CHECK(machine().cost(embedding, {8, 32, 8000}).latency_ps == 1000 + 1000 * (100 + 400));
  embedding.outputs = 5000;  // more tokens than rows: the table is read once
  CHECK(machine().cost(embedding, {8, 32, 8000}).latency_ps == 1000 + 1000 * (1000 + 20000));
}

TEST_CASE("energy is MACs at the native pair plus the bits that move") {
  // w3 a8 runs on 4x8 at 1 pJ: 1000 pJ; 30 + 60 bytes at 3 pJ a bit = 2160 pJ
  CHECK(machine().cost(facts(), {3, 8, 240}).energy_fj == 3160000);
}

TEST_CASE("Horowitz' energies come back at 8 and 32 bits") {
  Roofline::Spec spec;
  spec.native = {{8, 8, 1, 0}, {16, 16, 1, 0}, {32, 32, 1, 0}};
  spec.gb_per_s = 1;
  spec.energy = Roofline::EnergySource::horowitz45;
  const Roofline model(spec);
  LayerFacts layer{0, "fc", "Gemm", 1000, 0, 0, 1000, 1};  // one MAC an output: the sum has 16 bits
  // 0.2 pJ a product, 0.05 pJ a 16-bit sum; QKeras' coefficients are rounded to 1e-12
  CHECK(model.cost(layer, {8, 8, 0}).energy_fj == Approx(250000).epsilon(1e-5));
  layer.outputs = 1;  // 10 bits more
  CHECK(model.cost(layer, {8, 8, 0}).energy_fj == Approx(1000 * (200 + 0.003125 * 26 * 1000)).epsilon(1e-5));
  CHECK(model.cost(layer, {9, 8, 0}).energy_fj == 1500000);
  CHECK(model.cost(layer, {32, 32, 0}).energy_fj == 4600000);
}

TEST_CASE("convolutions with groups reach only their share of the peak") {
  Roofline::Spec spec;
  spec.native = {{32, 32, 1, 0}};
  spec.gb_per_s = 1000;
  spec.grouped_efficiency = 0.25;
  LayerFacts layer = facts();
  CHECK(Roofline(spec).cost(layer, {32, 32, 0}).latency_ps == 2000000);
  layer.groups = 2;
  CHECK(Roofline(spec).cost(layer, {32, 32, 0}).latency_ps == 8000000);
}

TEST_CASE("costs that 64 bits cannot hold are refused with the layer's name") {
  Roofline::Spec spec;
  spec.native = {{32, 32, 1e-9, 0}};
  spec.gb_per_s = 1;
  LayerFacts layer = facts();
  layer.macs = std::int64_t{1} << 45;
  CHECK_THROWS_WITH(Roofline(spec).cost(layer, {8, 8, 8}),
                    "layer 'conv': its latency is too large to count; check the machine's rates");
}

TEST_CASE("a clock and MACs a cycle give the same rate as gops") {
  const auto by_clock = read(
      "kind: roofline\nname: n\nclock_mhz: 50\nnative:\n  - {w: 8, a: 8, macs_per_cycle: 1}\n"
      "  - {w: float, a: float, macs_per_cycle: 0.1}\nbandwidth_gb_per_s: 1000\n");
  CHECK(by_clock->cost(facts(), {8, 8, 8}).latency_ps == 20000000);  // 1000 cycles of 20 ns
  CHECK_FALSE(by_clock->has_energy());
  CHECK(by_clock->cost(facts(), {8, 8, 8}).energy_fj == kNotGiven);
}

TEST_CASE("a roofline description is read strictly") {
  CHECK(read(kGood)->has_latency());
  const auto fails = [](const std::string& from, const std::string& to, const std::string& message) {
    std::string text = kGood;
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    CHECK_THROWS_WITH(read(text), Contains(message));
  };
  fails("gops: 100", "gops: 0", "hw.yaml:4:24: native[0].gops: must be above 0, is 0");
  fails("gops: 100", "gops: -1", "native[0].gops: must be above 0, is -1");
  fails(", gops: 100", "", "hw.yaml:4:5: native[0]: needs one of gops and macs_per_cycle");
  fails("gops: 100", "gops: 100, macs_per_cycle: 3", "needs one of gops and macs_per_cycle");
  fails("gops: 100", "macs_per_cycle: 3", "native[0].macs_per_cycle: needs clock_mhz beside native");
  fails("name: n", "name: n\nclock_mhz: 100", "native[0]: must give macs_per_cycle, because clock_mhz is given");
  fails("gops: 100", "gops: 100, pj_per_mac: 1", "native[0].pj_per_mac: is read only with energy: {mac: native}");
  fails("gops: 100", "gop: 100", "native[0].gop: is not a known key; did you mean 'gops'?");
  fails("w: 8", "w: 24", "native[0].w: must be from 1 to 16, is 24");
  fails("{w: float, a: float", "{w: 16, a: 16", "needs the pair {w: float, a: float}");
  fails("{w: float, a: float, gops: 10}", "{w: float, a: float, gops: 10}\n  - {w: 8, a: 8, gops: 3}",
        "native[2]: stands here for the second time");
  fails("bandwidth_gb_per_s: 10", "bandwidth: 10", "bandwidth: is not a known key");
  fails("bandwidth_gb_per_s: 10", "launch: 5us", "the key 'bandwidth_gb_per_s' is missing");
  fails("name: n", "name: n\nlaunch: 5", "launch: needs a unit of time (as 5us), is '5'");
  fails("name: n", "name: n\nlaunch: 5MB", "launch: needs a unit of time (as 5us), is '5MB'");
  fails("name: n", "name: n\ngrouped_efficiency: 2", "grouped_efficiency: must be from 0.001 to 1, is 2");
  fails("name: n", "name: n\nenergy: {mac: cmos, dram_pj_per_bit: 1}",
        "energy.mac: 'cmos' is not known; known: native, horowitz45");
  fails("name: n", "name: n\nenergy: {mac: native, dram_pj_per_bit: 1}",
        "native[0]: needs pj_per_mac, because energy.mac is native");
  fails("name: n", "name: n\nenergy: {mac: horowitz45}", "energy: the key 'dram_pj_per_bit' is missing");
}

TEST_CASE("an unknown kind of hardware is named with those that exist") {
  test::Folder folder;
  const Network network = test::small_network(1);
  CHECK_THROWS_WITH(load_hardware(folder.write("a.yaml", "kind: rooflin\nname: x\n"), network),
                    Contains("a.yaml:1:7: kind: 'rooflin' is not a kind of hardware model; known: roofline, table"));
  CHECK_THROWS_WITH(load_hardware(folder.write("b.yaml", "kind: roofline\n"), network),
                    Contains("the key 'name' is missing"));
  CHECK_THROWS_WITH(load_hardware(folder.path("none.yaml"), network), Contains("none.yaml"));
}

TEST_CASE("what a hardware model knows of a layer is counted for one sample") {
  Network network = test::small_network(2);
  const LayerFacts one = LayerFacts::of(network, 1);
  CHECK(one.name == "conv1");
  CHECK(one.op == "Conv");
  CHECK(one.macs == 16 * 288);
  CHECK(one.weights == 288);
  CHECK(one.inputs == 64);
  CHECK(one.outputs == 128);
  // the same network bound to a batch of 4: four times the elements in the tensors, the same facts
  network.batch = 4;
  for (TensorInfo& tensor : network.tensors)
    if (!tensor.constant) tensor.shape[0] = 4;
  for (Layer& layer : network.layers) layer.output_shape[0] = 4;
  CHECK(LayerFacts::of(network, 1).inputs == 64);
  CHECK(LayerFacts::of(network, 1).outputs == 128);
}
