#include <algorithm>
#include <cmath>

#include "quant/layer_quantizer.hpp"
#include "tests/catch.hpp"
#include "tests/quant/layer_samples.hpp"

using namespace bitplan;
using namespace bitplan::test;
using Catch::Matchers::Contains;

TEST_CASE("awq leaves out scales that lead beyond float32") {
  SampleLayer layer("Gemm", WeightView{1, 8, 21, 1}, 90);
  const float most = std::abs(*std::ranges::max_element(layer.weights, {}, [](float w) { return std::abs(w); }));
  for (float& w : layer.weights) w *= 3e38F / most;
  const double down = 1e-12;
  for (auto& gram : layer.moments.gram)
    for (float& x : gram) x *= static_cast<float>(down * down);
  for (auto* means : {&layer.moments.mean, &layer.moments.float_mean, &layer.moments.abs_mean, &layer.moments.abs_max})
    for (auto& m : *means)
      for (float& x : m) x *= static_cast<float>(down);
  for (const std::string text : {"int3", "int3+gptq", "int3:g5+wmse", "nf4"}) {
    INFO(text);
    const QuantizedWeight ours = layer.as(text + (text.find("gptq") == std::string::npos ? "+awq" : "+awq+bias"));
    CHECK(std::ranges::all_of(ours.values, [](float x) { return std::isfinite(x); }));
    CHECK(ours.column_scales.size() == 21);
    CHECK(layer.error(ours.values, !ours.bias.empty()) <= layer.error(text) * (1 + 1e-5));
  }
}

TEST_CASE("an output error that overflows names the layer's channel, not the group's") {
  SampleLayer layer("grouped", WeightView{1, 6, 18, 2});
  for (std::size_t c = 0; c < 18; ++c) layer.weights[4 * 18 + c] = 3e38F * (static_cast<float>(c * 7 % 18) / 18 - 0.5F) * 2;
  for (const std::string text : {"int3+gptq", "int3+gptq+bias"})
    CHECK_THROWS_WITH(layer.as(text), Contains("the output error of channel 4 overflows"));
  CHECK_THROWS_WITH(layer.error(std::vector<float>(layer.weights.size())), Contains("channel 4 overflows"));
}
