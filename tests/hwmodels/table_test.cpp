#include "hwmodels/table.hpp"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "core/error.hpp"
#include "hwmodels/csv.hpp"
#include "tests/catch.hpp"
#include "tests/fixtures.hpp"
#include "tests/hwmodels/hardware_files.hpp"

using namespace bitplan;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

namespace {

const std::string kHeader = "layer,w_bits,a_bits,metric,value,unit\n";

struct Loaded {
  test::Folder folder;
  Network network = test::small_network(2);
  std::unique_ptr<HardwareModel> model;

  explicit Loaded(const std::string& csv, const std::string& settings = "") {
    folder.write("costs.csv", csv);
    model = load_hardware(folder.write("hw.yaml", "kind: table\nname: board\nfile: costs.csv\n" + settings), network);
  }
  HardwareCost cost(LayerId layer, int w, int a) const {
    return model->cost(LayerFacts::of(network, layer), {w, a, 0});
  }
};

void fails(const std::string& csv, const std::string& message, const std::string& settings = "") {
  CHECK_THROWS_WITH(Loaded(csv, settings), EndsWith(message));
}

const std::string kGood = kHeader + "conv0,8,8,latency,2,us\nconv1,8,8,latency,3.5,us\n";

}  // namespace

TEST_CASE("a measured table gives the cell of exactly that pair in base units") {
  const Loaded table(kHeader +
                     "conv0,8,8,latency,2,us\nconv0,4,8,latency,1.2345,us\nconv1,8,8,latency,0.004,ms\n"
                     "conv0,8,8,energy,3,nJ\nconv1,8,8,energy,0.25,pJ\nconv1,float,float,latency,1,s\n");
  CHECK(table.model->has_latency());
  CHECK(table.model->has_energy());
  CHECK(table.cost(0, 8, 8).latency_ps == 2000000);
  CHECK(table.cost(0, 4, 8).latency_ps == 1234500);
  CHECK(table.cost(1, 8, 8).latency_ps == 4000000);
  CHECK(table.cost(0, 8, 8).energy_fj == 3000000);
  CHECK(table.cost(1, 8, 8).energy_fj == 250);
  CHECK(table.cost(1, 32, 32).latency_ps == 1000000000000);
  CHECK(table.cost(0, 3, 8).latency_ps == kNotGiven);
  CHECK(table.cost(0, 32, 32).latency_ps == kNotGiven);
}

TEST_CASE("only round_up takes the next larger measured pair") {
  const std::string csv = kHeader +
                          "conv0,8,8,latency,80,us\nconv0,4,8,latency,48,us\nconv0,8,4,latency,84,us\n"
                          "conv0,4,4,latency,44,us\nconv1,8,8,latency,1,us\n";
  CHECK(Loaded(csv, "missing: error\n").cost(0, 3, 4).latency_ps == kNotGiven);
  const Loaded table(csv, "missing: round_up\n");
  CHECK(table.cost(0, 3, 4).latency_ps == 44000000);
  CHECK(table.cost(0, 5, 3).latency_ps == 84000000);
  CHECK(table.cost(0, 3, 5).latency_ps == 48000000);
  CHECK(table.cost(0, 5, 5).latency_ps == 80000000);
  CHECK(table.cost(0, 8, 32).latency_ps == kNotGiven);
  CHECK(table.cost(1, 2, 2).latency_ps == 1000000);
}

TEST_CASE("layers are found by module, node and weight name") {
  test::Folder folder;
  Network network = test::small_network(3);
  network.layers[0].names.module = "backbone.stem";
  network.nodes[static_cast<std::size_t>(network.layers[1].node)].name = "/node 1, quoted";
  network.layers[2].names.weight = "w2";
  folder.write("costs.csv",
               kHeader + "backbone.stem,8,8,latency,1,ns\n\"/node 1, quoted\",8,8,latency,2,ns\nw2,8,8,latency,3,ns\n");
  const auto model = load_hardware(folder.write("hw.yaml", "kind: table\nname: b\nfile: costs.csv\n"), network);
  for (LayerId l = 0; l < 3; ++l)
    CHECK(model->cost(LayerFacts::of(network, l), {8, 8, 0}).latency_ps == 1000 * (l + 1));
}

TEST_CASE("blank lines, carriage returns, a byte order mark and further columns are tolerated") {
  const Loaded table(
      "\xEF\xBB\xBFlayer,w_bits,a_bits,metric,value,unit,std,n,remark\r\n\r\n  \n"
      "conv0, 8 ,8,latency,2,us,0.1,100,hello,\r\n,,,,,\nconv1,8,8,latency,3,us\n\n");
  CHECK(table.cost(0, 8, 8).latency_ps == 2000000);
  CHECK(table.cost(1, 8, 8).latency_ps == 3000000);
}

TEST_CASE("figures measured on several samples are divided, and cycles need a clock") {
  CHECK(Loaded(kGood, "samples: 4\n").cost(1, 8, 8).latency_ps == 875000);
  const std::string cycles = kHeader + "conv0,8,8,latency,1000,cycles\nconv1,8,8,latency,7,cycles\n";
  CHECK(Loaded(cycles, "clock_mhz: 800\n").cost(0, 8, 8).latency_ps == 1250000);
  CHECK(Loaded(cycles, "clock_mhz: 800\n").cost(1, 8, 8).latency_ps == 8750);
  fails(cycles, "costs.csv:2: the unit cycles needs clock_mhz in the description of the hardware");
  fails(kGood, "clock_mhz: no row of the table has the unit cycles", "clock_mhz: 800\n");
}

TEST_CASE("the activation bits of an embedding play no role") {
  test::Folder folder;
  Network network = test::small_network(1);
  network.layers[0].op = "Gather";
  folder.write("costs.csv", kHeader + "conv0,4,8,latency,5,ns\n");
  const auto file = folder.write("hw.yaml", "kind: table\nname: b\nfile: costs.csv\n");
  CHECK(load_hardware(file, network)->cost(LayerFacts::of(network, 0), {4, 32, 0}).latency_ps == 5000);
  folder.write("costs.csv", kHeader + "conv0,4,8,latency,5,ns\nconv0,4,4,latency,6,ns\n");
  CHECK_THROWS_WITH(load_hardware(file, network), Contains("costs.csv:3:"));
}

TEST_CASE("each mistake in a cost table is reported with its line") {
  fails("", "costs.csv: is empty");
  fails(kHeader, "costs.csv: has no rows");
  fails("layer,w,a,metric,value,unit\n",
        "costs.csv:1: must start with the header layer,w_bits,a_bits,metric,value,unit");
  fails(kGood + "conv0,8,8,latency\n", "costs.csv:4: has 4 columns, needs at least 6");
  fails(kGood + "\nconv0,8,8,latency,9,us\n",
        "costs.csv:5: the latency of layer 'conv0' at these bits stands here for the second time");
  fails(kGood + "conv0.weight,8,8,latency,9,us\n",
        "costs.csv:4: the latency of layer 'conv0.weight' at these bits stands here for the second time");
  fails(kGood + "conv7,4,8,latency,1,us\n", "costs.csv:4: the network has no layer 'conv7'; did you mean 'conv0'?");
  fails(kGood + "zzzzzzzz,4,8,latency,1,us\n", "costs.csv:4: the network has no layer 'zzzzzzzz'");
  fails(kGood + "conv0,0,8,latency,1,us\n", "costs.csv:4: w_bits must be from 1 to 32 or float, is '0'");
  fails(kGood + "conv0,4,4.5,latency,1,us\n", "costs.csv:4: a_bits must be from 1 to 32 or float, is '4.5'");
  fails(kGood + "conv0,4,,latency,1,us\n", "costs.csv:4: a_bits must be from 1 to 32 or float, is ''");
  fails(kGood + "conv0,4,8,latency,-1,us\n", "costs.csv:4: value must be a finite number from 0, is '-1'");
  fails(kGood + "conv0,4,8,latency,nan,us\n", "costs.csv:4: value must be a finite number from 0, is 'nan'");
  fails(kGood + "conv0,4,8,latency,inf,us\n", "costs.csv:4: value must be a finite number from 0, is 'inf'");
  fails(kGood + "conv0,4,8,latency,1e30,s\n", "costs.csv:4: value 1e30 s is too large");
  fails(kGood + "conv0,4,8,latency,1,uJ\n", "costs.csv:4: 'uJ' is not a unit of latency; known: ns, us, ms, s, cycles");
  fails(kGood + "conv0,4,8,latency,1,s2m\n",
        "costs.csv:4: 's2m' is not a unit of latency; known: ns, us, ms, s, cycles");
  fails(kGood + "conv0,4,8,latency,1,\n", "costs.csv:4: '' is not a unit of latency; known: ns, us, ms, s, cycles");
  fails(kGood + "conv0,4,8,energy,1,ms\n", "costs.csv:4: 'ms' is not a unit of energy; known: fJ, pJ, nJ, uJ, mJ, J");
  fails(kGood + "conv0,4,8,power,1,ms\n", "costs.csv:4: 'power' is not a metric of a table; known: latency, energy");
  fails(kGood + "\"conv0,4,8,latency,1,ms\n", "costs.csv:4: a quote is not closed");
  fails(kGood + "conv0,8,8,energy,1,nJ\n", "costs.csv: has no energy of 1 layer: 'conv1'");
  fails("layer,w_bits,a_bits,metric,value,unit,std\nconv0,8,8,latency,1,us,-1\n",
        "costs.csv:2: std must be a finite number from 0, is '-1'");
  fails(kGood, "missing: 'guess' is not known; known: error, round_up", "missing: guess\n");
  fails(kGood, "samples: must be from 1 to 1073741824, is 0", "samples: 0\n");
}

TEST_CASE("a name that several layers share is refused") {
  test::Folder folder;
  Network network = test::small_network(2);
  network.layers[0].names.weight = network.layers[1].names.weight = "shared";
  folder.write("costs.csv", kHeader + "shared,8,8,latency,1,us\n");
  CHECK_THROWS_WITH(load_hardware(folder.write("hw.yaml", "kind: table\nname: b\nfile: costs.csv\n"), network),
                    EndsWith("costs.csv:2: 'shared' names 2 layers; use the names of their nodes"));
}

TEST_CASE("quoted CSV fields hold commas and quotes") {
  test::Folder folder;
  const auto rows = read_csv(folder.write("a.csv", "a,\"b,\"\"c\"\"\" ,d\n\n\"x\"\n"));
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].fields == std::vector<std::string>{"a", "b,\"c\"", "d"});
  CHECK(rows[1].line == 3);
  CHECK(rows[1].fields == std::vector<std::string>{"x"});
  CHECK_THROWS_WITH(read_csv(folder.write("b.csv", "\"x\"y,z\n")), EndsWith("b.csv:1: text follows a closing quote"));
}

TEST_CASE("HAQ's published table gives its known totals after conversion", "[hardware]") {
  const char* root = std::getenv("BITPLAN_DATA");
  const std::filesystem::path data = root != nullptr ? root : BITPLAN_SOURCE_DIR "/../shared/data";
  const auto source = data / "hardware/haq_mobilenetv2_lut.csv";
  if (!std::filesystem::exists(source)) {
    WARN("skipped: " << source << " is absent");
    return;
  }
  const auto rows = read_csv(source);
  REQUIRE(rows.size() == 54);
  std::ostringstream csv;
  csv << kHeader;
  for (std::size_t l = 1; l < rows.size(); ++l)
    for (int w = 1; w <= 8; ++w)
      for (int a = 1; a <= 8; ++a)
        csv << "conv" << l - 1 << ',' << w << ',' << a << ",latency,"
            << rows[l].fields[static_cast<std::size_t>(8 * (w - 1) + a)] << ",cycles\n";
  test::Folder folder;
  folder.write("costs.csv", csv.str());
  Network network = test::small_network(1);
  for (LayerId l = 1; l < 53; ++l) {  // only names matter here
    Layer layer = network.layers[0];
    layer.id = l;
    layer.names = {"conv" + std::to_string(l), "", "", "", "conv" + std::to_string(l), "", ""};
    network.layers.push_back(layer);
  }
  network.layers[0].names.node = network.layers[0].names.module = "conv0";
  network.nodes[0].name = "";
  // 1 MHz: a cycle is a microsecond
  const auto model =
      load_hardware(folder.write("hw.yaml", "kind: table\nname: haq\nfile: costs.csv\nclock_mhz: 1\n"), network);
  const auto total = [&](int w, int a) {
    std::int64_t sum = 0;
    for (LayerId l = 0; l < 53; ++l) {
      LayerFacts facts;
      facts.id = l;
      sum += model->cost(facts, {w, a, 0}).latency_ps;
    }
    return sum / 1000000;
  };
  CHECK(total(8, 8) == 39624933);
  CHECK(total(6, 6) == 26653434);
  CHECK(total(4, 4) == 15716150);
  CHECK(total(2, 2) == 7063425);
  CHECK(total(8, 4) == 20044617);
  CHECK(total(4, 8) == 31232558);
}
