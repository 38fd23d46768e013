// What a plan keeps of weights that need more than scales: codes, biases, zero points between codes, column scales.

#include <nlohmann/json.hpp>

#include "core/files.hpp"
#include "core/npy.hpp"
#include "plan/plan.hpp"
#include "tests/catch.hpp"
#include "tests/fixtures.hpp"
#include "tests/folder.hpp"
#include "tests/quant/layer_samples.hpp"

using namespace bitplan;
using namespace bitplan::test;
using Json = nlohmann::json;

namespace {

/// Three convolutions, each under one of the choices, as a plan on disk.
struct Written {
  Folder folder{"plan_recipe"};
  std::shared_ptr<const Network> network = std::make_shared<const Network>(small_network(3));
  std::shared_ptr<ChoiceTable> choices = std::make_shared<ChoiceTable>();
  Assignment assignment;
  std::vector<QuantizedWeight> weights;
  Json json;
  std::map<std::string, Tensor> arrays;

  explicit Written(const std::vector<std::string>& texts) {
    assignment.assign(network->sites.size(), kFloat);
    for (std::size_t l = 0; l < texts.size(); ++l) {
      const Layer& layer = network->layers[l];
      SampleLayer sample("conv", WeightView::of(layer.weight_shape, 0));
      const auto values = network->tensor(layer.weight).constant->values<float>();
      sample.weights.assign(values.begin(), values.end());
      weights.push_back(sample.as(texts[l]));
      assignment[l] = choices->add(weight_choice(texts[l]));
    }
    const CostModel costs(network, choices, std::map<std::string, std::filesystem::path>{});
    Plan plan;
    plan.name = "test";
    plan.model_file = network->file;
    plan.model_sha256 = network->sha256;
    plan.objective = "minimize kl";
    plan.kind = "mixed";
    plan.layers =
        plan_layers(*network, *choices, costs, assignment,
                    {nullptr, [&](LayerId layer, ChoiceId) { return weights[static_cast<std::size_t>(layer)]; }});
    write_plan(folder.path / "plan.json", plan);
    json = Json::parse(read_text(folder.path / "plan.json"));
    if (json.contains("arrays") && json["arrays"].is_string())
      arrays = read_npz(folder.path / json["arrays"].get<std::string>());
  }

  const Json& weight(std::size_t layer) const { return json["layers"][layer]["weight"]; }

  /// Numbers that stand in the plan or, where the plan names them, beside it.
  std::vector<double> numbers(std::size_t layer, const std::string& key) const {
    if (!weight(layer).contains(key)) return {};
    const Json& value = weight(layer)[key];
    if (value.is_array()) return value.get<std::vector<double>>();
    const Json name = value.is_object() ? value.begin().value() : value;
    const Tensor& tensor = arrays.at(name.get<std::string>());
    std::vector<double> all;
    if (tensor.dtype() == DType::f32)
      for (const float v : tensor.values<float>()) all.push_back(static_cast<double>(v));
    else
      for (const auto v : tensor.integers()) all.push_back(static_cast<double>(v));
    return all;
  }
};

}  // namespace

TEST_CASE("a plan keeps codes that cannot be found again, and with them gives every value of the weight back") {
  const Written plan({"int3:g5+gptq+bias", "int4:g16+hqq", "int4+affine+gptq:actorder+awq+outliers10+bias"});
  CHECK(assignment_of(read_plan(plan.folder.path / "plan.json"), *plan.network, *plan.choices) == plan.assignment);
  for (std::size_t l = 0; l < 3; ++l) {
    const QuantizedWeight& weight = plan.weights[l];
    const Choice& choice = (*plan.choices)[plan.assignment[l]];
    INFO(choice.label);
    CHECK(plan.weight(l)["rounding"] == choice.rounding);
    CHECK(plan.weight(l)["compensation"] == (choice.bias == BiasCorrection::none ? "none" : "bias"));
    const auto scales = plan.numbers(l, "scale"), zeros = plan.numbers(l, "zero_point"),
               codes = plan.numbers(l, "codes"), columns = plan.numbers(l, "column_scale"),
               kept = plan.numbers(l, "float_columns"), bias = plan.numbers(l, "bias");
    REQUIRE(codes.size() == weight.values.size());
    REQUIRE(zeros.size() == scales.size());
    REQUIRE(bias.size() == weight.bias.size());
    for (std::size_t c = 0; c < bias.size(); ++c) CHECK(static_cast<float>(bias[c]) == weight.bias[c]);
    const std::size_t channels = static_cast<std::size_t>(plan.network->layers[l].weight_shape[0]),
                      k = weight.values.size() / channels, parts = scales.size() / channels;
    const std::size_t run = parts == 1 ? k : static_cast<std::size_t>(choice.granularity.group);
    for (std::size_t i = 0; i < weight.values.size(); ++i) {
      const std::size_t part = i / k * parts + i % k / run;
      if (std::count(kept.begin(), kept.end(), static_cast<double>(i % k))) continue;
      float value = static_cast<float>(scales[part]) * (static_cast<float>(codes[i]) - static_cast<float>(zeros[part]));
      if (!columns.empty()) value /= static_cast<float>(columns[i % k]);
      REQUIRE(value == weight.values[i]);
    }
  }
  CHECK(plan.numbers(1, "zero_point")[0] != std::nearbyint(plan.numbers(1, "zero_point")[0]));
  CHECK(plan.numbers(2, "float_columns").size() == (8 * 9 + 9) / 10);
}

TEST_CASE("a plan has no codes of nearest rounding, no bias that nobody asked for") {
  const Written plan({"int3", "nf4+gptq+gain", "int4+bias"});
  CHECK_FALSE(plan.weight(0).contains("codes"));
  CHECK_FALSE(plan.weight(0).contains("bias"));
  CHECK(plan.weight(0)["rounding"] == "nearest");
  CHECK(plan.numbers(1, "codes").size() == plan.weights[1].codes.size());
  CHECK_FALSE(plan.weight(1).contains("zero_point"));
  CHECK_FALSE(plan.weight(2).contains("codes"));
  CHECK(plan.numbers(2, "bias").size() == 12);
}
