#include <algorithm>
#include <cmath>

#include "quant/layer_quantizer.hpp"
#include "tests/catch.hpp"
#include "tests/quant/layer_samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

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
