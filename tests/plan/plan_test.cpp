#include "plan/plan.hpp"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/npy.hpp"
#include "plan/tables.hpp"
#include "quant/weight_quantizer.hpp"
#include "tests/catch.hpp"
#include "tests/fixtures.hpp"
#include "tests/folder.hpp"

using namespace bitplan;
using Json = nlohmann::json;

namespace {

/// As a layer that shares its tensor with others is quantized: as the first of them.
QuantizedWeight quantized(const Network& network, LayerId layer, const Choice& choice) {
  const auto& site = network.site(network.weight_site[static_cast<std::size_t>(layer)]);
  const Layer& first = network.layer(site.layers.front());
  return quantize_weight(network.tensor(first.weight).constant->values<float>(),
                         WeightView::of(first.weight_shape, first.channel_axis), choice);
}

struct Fixture {
  test::Folder folder{"plan"};
  const std::filesystem::path& dir = folder.path;
  std::shared_ptr<const Network> network = std::make_shared<const Network>(test::small_network(18));
  std::shared_ptr<ChoiceTable> choices = std::make_shared<ChoiceTable>();
  Assignment assignment;
  std::unique_ptr<CostModel> costs;

  Fixture() {
    const auto w = ChoiceDefaults::weights(), a = ChoiceDefaults::activations();
    const auto int4 = choices->add(parse_choice("int4", w, w)), affine = choices->add(parse_choice("int3:g16+affine", w, w));
    const auto act8 = choices->add(parse_choice("int8", a, a));
    for (const auto& site : network->sites)
      assignment.push_back(site.kind == Site::Kind::activation ? act8 : site.id == 0 ? kFloat : site.id == 1 ? affine : int4);
    costs = std::make_unique<CostModel>(network, choices, std::map<std::string, std::filesystem::path>{});
  }

  Plan plan() const {
    Plan plan;
    plan.name = "test";
    plan.model_file = network->file;
    plan.model_sha256 = network->sha256;
    plan.objective = "minimize kl";
    plan.kind = "mixed";
    plan.layers = plan_layers(*network, *choices, *costs, assignment,
                              {[](SiteId, ChoiceId) { return SiteQuantizer::of(affine_from_range(0, 6, 8, false, false)); },
                               [&](LayerId layer, ChoiceId choice) { return quantized(*network, layer, (*choices)[choice]); }});
    plan.provenance = {{"seed", "1"}};
    return plan;
  }
};

}  // namespace

TEST_CASE("a plan file reads back to the same assignment") {
  const Fixture f;
  write_plan(f.dir / "plan.json", f.plan());
  const auto read = read_plan(f.dir / "plan.json");
  CHECK(read.model_sha256 == f.network->sha256);
  CHECK(assignment_of(read, *f.network, *f.choices) == f.assignment);
}

TEST_CASE("operands of attention products are in the plan, which says when they do not fit the network") {
  const Fixture f;
  Network network = *f.network;
  Site site;
  site.kind = Site::Kind::activation;
  site.id = static_cast<SiteId>(network.sites.size());
  site.tensor = network.layers[1].output;
  site.products = {network.layers[2].node};
  site.name = "q";
  network.sites.push_back(site);
  auto assignment = f.assignment;
  assignment.push_back(f.assignment.back());
  auto plan = f.plan();
  plan.products = plan_products(network, *f.choices, assignment,
                                [](SiteId, ChoiceId) { return SiteQuantizer::of(affine_from_range(0, 6, 8, false, false)); });
  REQUIRE(plan.products.size() == 1);
  CHECK(plan.products[0].nodes == std::vector<std::string>{"conv2"});
  write_plan(f.dir / "plan.json", plan);
  CHECK(assignment_of(read_plan(f.dir / "plan.json"), network, *f.choices) == assignment);
  CHECK_THROWS_WITH(assignment_of(read_plan(f.dir / "plan.json"), *f.network, *f.choices),
                    Catch::Matchers::EndsWith("'conv1_out' is no operand of an attention product here; set "
                                              "space.activations.attention: true"));
  write_plan(f.dir / "without.json", f.plan());
  CHECK_THROWS_WITH(assignment_of(read_plan(f.dir / "without.json"), network, *f.choices),
                    Catch::Matchers::Contains("has no choice for 'q', an operand of an attention product"));
}

TEST_CASE("activations by channel, by token and with outliers are in the plan and read back") {
  Fixture f;
  const auto a = ChoiceDefaults::activations();
  const std::vector<std::string> labels{"int8:channel", "int6:token+symmetric+outliers1", "int4+outliers30"};
  for (std::size_t i = 0; i < 3; ++i)
    f.assignment[static_cast<std::size_t>(f.network->input_site[i])] = f.choices->add(parse_choice(labels[i], a, a));
  f.costs = std::make_unique<CostModel>(f.network, f.choices, std::map<std::string, std::filesystem::path>{});
  Plan plan = f.plan();
  const std::vector<Affine> many(100, affine_from_range(-1, 3, 8, false, false));
  SiteQuantizer channels{.kind = Granularity::Kind::channel, .axis = 1, .channels = 100, .parts = many};
  plan.layers[0].activation->quantizer = channels;
  plan.layers[1].activation->quantizer =
      SiteQuantizer{.kind = Granularity::Kind::token, .axis = 1, .channels = 4, .float_channels = {2}};
  auto outliers = SiteQuantizer::of(many.front());
  outliers.axis = 1;
  outliers.float_channels = {1, 3};
  plan.layers[2].activation->quantizer = outliers;
  write_plan(f.dir / "plan.json", plan);
  CHECK(assignment_of(read_plan(f.dir / "plan.json"), *f.network, *f.choices) == f.assignment);
  std::ifstream file(f.dir / "plan.json");
  const auto layers = nlohmann::json::parse(file)["layers"];
  const auto by_channel = layers[0]["activation"], token = layers[1]["activation"], tensor = layers[2]["activation"];
  CHECK(by_channel["granularity"] == "channel");
  CHECK(by_channel["axis"] == 1);
  CHECK(by_channel["scale"]["npz"] == "layers.0.activation.scale");
  CHECK(read_npz(f.dir / "plan.npz").at("layers.0.activation.zero_point").shape() == Shape{100});
  CHECK(token["granularity"] == "token");
  CHECK(token["choice"] == "int6:token+symmetric+outliers1");
  CHECK(token["signed"] == true);
  CHECK(token["outliers"] == std::vector<int>{2});
  CHECK_FALSE(token.contains("scale"));
  CHECK(tensor["granularity"] == "tensor");
  CHECK(tensor["outliers"] == std::vector<int>{1, 3});
  CHECK(tensor["scale"].size() == 1);
}

TEST_CASE("a bias is in the plan with its shape: by channel, or that of the layer's output for one sample") {
  const Fixture f;
  const Layer& layer = f.network->layers[0];
  const auto channels = static_cast<std::size_t>(layer.weight_shape[0]);
  const Shape sample(layer.output_shape.begin() + 1, layer.output_shape.end());
  for (const bool by_element : {false, true}) {
    const std::size_t numbers = by_element ? static_cast<std::size_t>(element_count(sample)) : channels;
    Plan plan = f.plan();
    const auto biased = [&](LayerId id, ChoiceId choice) {
      auto weight = quantized(*f.network, id, (*f.choices)[choice]);
      if (id == 0)
        for (std::size_t i = 0; i < numbers; ++i) weight.bias.push_back(static_cast<float>(i));
      return weight;
    };
    plan.layers = plan_layers(*f.network, *f.choices, *f.costs, f.assignment,
                              {[](SiteId, ChoiceId) { return SiteQuantizer::of(affine_from_range(0, 6, 8, false, false)); },
                               biased});
    write_plan(f.dir / "plan.json", plan);
    const Json weight = Json::parse(read_text(f.dir / "plan.json"))["layers"][0]["weight"];
    const Shape shape = by_element ? sample : Shape{static_cast<std::int64_t>(channels)};
    CHECK(weight["bias_shape"] == Json(shape));
    REQUIRE((numbers > channels) == by_element);
    if (numbers <= 64) {
      CHECK(weight["bias"].size() == numbers);
    } else {
      const Tensor array = read_npz(f.dir / "plan.npz").at(weight["bias"]["npz"].get<std::string>());
      CHECK(array.shape() == shape);
      CHECK(array.values<float>()[numbers - 1] == static_cast<float>(numbers - 1));
    }
    CHECK_FALSE(Json::parse(read_text(f.dir / "plan.json"))["layers"][1]["weight"].contains("bias_shape"));
    CHECK(assignment_of(read_plan(f.dir / "plan.json"), *f.network, *f.choices) == f.assignment);
  }
}

TEST_CASE("layers that share a weight have the scales of its first layer, along their own axis") {
  Network network = *Fixture().network;
  network.layers = {network.layers[0], network.layers[1]};
  auto &embedding = network.layers[0], &head = network.layers[1];
  embedding.weight = test::add_constant(network, "wte", {6, 4}, 1);
  embedding.weight_shape = {6, 4};
  head.weight_shape = {4, 6};
  head.channel_axis = 1;
  head.weight_transposed = true;
  network.sites[0].tensor = embedding.weight;
  network.sites[0].layers = {0, 1};
  network.weight_site = {0, 0};
  const auto w = ChoiceDefaults::weights();
  const auto choices = std::make_shared<ChoiceTable>();
  const auto int4 = choices->add(parse_choice("int4", w, w));
  const auto shared = std::make_shared<const Network>(network);
  const CostModel costs(shared, choices, {});
  Assignment assignment(network.sites.size(), kFloat);
  assignment[0] = int4;
  const auto layers = plan_layers(network, *choices, costs, assignment,
                                  {[](SiteId, ChoiceId) { return SiteQuantizer(); },
                                   [&](LayerId layer, ChoiceId choice) { return quantized(network, layer, (*choices)[choice]); }});
  REQUIRE(layers.size() == 2);
  CHECK(layers[0].weight.scales.size() == 6);
  CHECK(layers[1].weight.scales == layers[0].weight.scales);
  CHECK(layers[0].axis == 0);
  CHECK(layers[1].axis == 1);
  CHECK(layers[1].costs.at("weight_bytes") == 0);  // stored once
}

TEST_CASE("a plan holds scales as they are measured with, long arrays in the .npz beside it") {
  const Fixture f;
  write_plan(f.dir / "plan.json", f.plan());
  const auto json = Json::parse(read_text(f.dir / "plan.json"));
  const auto arrays = read_npz(f.dir / json["arrays"].get<std::string>());
  for (const std::size_t l : {1u, 2u, 17u}) {
    const auto& layer = f.network->layers[l];
    const auto expected = quantize_weight(f.network->tensor(layer.weight).constant->values<float>(),
                                          WeightView::of(layer.weight_shape, layer.channel_axis), (*f.choices)[f.assignment[l]]);
    const auto& scale = json["layers"][l]["weight"]["scale"];
    if (expected.scales.size() <= 64) {
      CHECK(scale.get<std::vector<float>>() == expected.scales);
    } else {
      const auto stored = arrays.at(scale["npz"].get<std::string>()).values<float>();
      CHECK(std::vector<float>(stored.begin(), stored.end()) == expected.scales);
    }
  }
  CHECK(json["layers"][0]["weight"]["choice"] == "float");
  CHECK_FALSE(json["layers"][0]["weight"].contains("scale"));
  CHECK(json["layers"][1]["weight"]["group"] == 16);
  CHECK(json["layers"][2]["activation"]["scale"][0].get<float>() == Approx(6.0 / 255));
  CHECK(json["layers"][2]["names"]["module"] == "conv2");
}

TEST_CASE("a layer's costs in the plan add up to the plan's") {
  const Fixture f;
  double bytes = 0;
  for (const auto& layer : f.plan().layers) bytes += layer.costs.at("weight_bytes");
  const auto m = f.costs->metric("weight_bytes", "");
  CHECK(bytes == f.costs->display(m, static_cast<double>(f.costs->cost(m, f.assignment))));
}

TEST_CASE("files that are no plan are refused with what is wrong") {
  const Fixture f;
  const auto file = f.dir / "bad.json";
  const auto check = [&](const std::string& text, const std::string& message) {
    std::ofstream(file) << text;
    CHECK_THROWS_WITH(read_plan(file), Catch::Contains(message));
  };
  check("{\n", "bad.json:2: is not valid JSON: it ends too early");
  for (const std::string number : {"NaN", "nan", "Infinity", "-Infinity", "-inf"})
    check("{\"a\": 1,\n \"b\": [" + number + "]}",
          "bad.json:2: is not valid JSON: '" + number + "' stands there; JSON has neither NaN nor Infinity");
  check("{\"a\": 1,\n\n\"b\": [1e999]}", "bad.json:3: is not valid JSON: the number '1e999' is too large");
  check("{\"a\": yes}", "bad.json:1: is not valid JSON: 'yes' cannot stand there");
  check("{\"a\": 1]", "bad.json:1: is not valid JSON: ']' cannot stand there");
  check("{\"a\": \"\xff\"}", "bad.json:1: is not valid JSON: byte 8 of the file cannot stand there");
  const std::string head = "{\"format\": \"bitplan-plan\", \"version\": 1, ";
  check(head + "\"finish\": [\"sequential\", \"asymmetric\"]}",
        "bad.json: finish: [\"sequential\",\"asymmetric\"]: one of sequential and asymmetric, and once");
  check("[]", "is not a plan");
  check("{\"format\": \"bitplan-plan\", \"version\": 2}", "version must be 1");
  check("{\"format\": \"bitplan-plan\", \"version\": 1}", "'model' is missing");
  check("{\"format\": \"bitplan-plan\", \"version\": 1, \"model\": {\"sha256\": \"0\"}, \"layers\": [{\"names\": {}, \"weight\": {\"choice\": \"int99\"}}]}",
        "layers[0].weight.choice: 'int99' is not a choice");
  CHECK_THROWS_WITH(read_plan(f.dir / "none.json"), Catch::Contains("none.json: cannot be read"));
}

TEST_CASE("a plan of another network is refused naming the layer it lacks") {
  const Fixture f;
  auto plan = f.plan();
  plan.layers.erase(plan.layers.begin() + 3);
  write_plan(f.dir / "plan.json", plan);
  CHECK_THROWS_WITH(assignment_of(read_plan(f.dir / "plan.json"), *f.network, *f.choices), Catch::Contains("has no layer for node 'conv3'"));
}

TEST_CASE("a plan replaces the old file in one step") {
  const Fixture f;
  write_plan(f.dir / "plan.json", f.plan());
  const auto first = read_text(f.dir / "plan.json");
  write_plan(f.dir / "plan.json", f.plan());
  CHECK(read_text(f.dir / "plan.json") == first);
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(f.dir)) left.push_back(entry.path().filename());
  std::sort(left.begin(), left.end());
  CHECK(left == std::vector<std::string>{"plan.json", "plan.npz"});
}
