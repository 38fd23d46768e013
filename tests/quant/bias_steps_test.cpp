// A bias beside roundings by data never makes a layer worse on its calibration data.
#include "quant/layer_quantizer.hpp"
#include "quant/moments/token_weights.hpp"
#include "tests/catch.hpp"
#include "tests/quant/layer_samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

/// Few channels and inputs, so that a bias matters: usual tokens about one point, one to three of up to a thousand
/// times their energy about another.
struct TokensApart {
  SampleLayer layer;
  std::vector<float> inputs;

  explicit TokensApart(std::uint64_t seed)
      : layer("apart", {1, 3, 2 + static_cast<std::int64_t>(seed % 6), 1}, 1, seed) {
    const auto k = static_cast<std::size_t>(layer.view.per_channel());
    Rng rng(seed, "tokens apart");
    std::vector<double> usual(k), huge(k);
    for (double& v : usual) v = 2 * rng.normal();
    for (double& v : huge) v = (seed % 3 == 0 ? 10 : seed % 3 == 1 ? 100 : 1000) * rng.normal();
    const std::size_t usual_tokens = 20 + seed % 37, huge_tokens = 1 + seed % 3;
    for (std::size_t i = 0; i < usual_tokens * k; ++i)
      inputs.push_back(static_cast<float>(usual[i % k] + (seed % 2 == 0 ? 0.3 : 1) * rng.normal()));
    for (std::size_t i = 0; i < huge_tokens * k; ++i)
      inputs.push_back(static_cast<float>(huge[i % k] * (1 + 0.05 * rng.normal())));
    layer.moments = {};
    layer.moments.columns = static_cast<std::int64_t>(k);
    layer.moments.rows = static_cast<std::int64_t>(usual_tokens + huge_tokens);
    layer.add_inputs(inputs);
    const auto energy = usual_energy(inputs, layer.moments.columns);
    if (!energy) return;
    WeightedMoments sums(*energy, layer.moments.columns, false, 1);
    std::vector<float> rows = inputs;
    sums.add(rows, {});
    layer.moments.weighted = std::make_shared<const LayerMoments>(sums.finish());
  }

  bool is_held(const QuantizedWeight& weight) const {
    return weight.bias != mean_difference(layer.view, layer.weights, weight.values, *layer.moments.weighted);
  }
};

}  // namespace

TEST_CASE("where the bias is held for huge tokens no step leaves the output error larger than before it") {
  const std::vector<std::vector<std::string>> chains{
      {"int3+absmax+bias", "int3+output+bias", "int3+output+gptq+bias", "int3+output+gptq+refit+bias"},
      {"int2+affine+bias", "int2+affine+descent+bias", "int2+affine+descent+refit+bias"},
      {"int2+absmax+bias", "int2+absmax+descent+bias", "int2+absmax+descent+refit+bias"},
      {"int3+affine+fit+bias", "int3+affine+fit+gptq+bias", "int3+affine+fit+gptq+refit+bias"},
      {"int3+absmax+bias", "int3+absmax+gain+bias", "int3+absmax+gain+gptq+bias"},
      {"int2:tensor+bias", "int2:tensor+gptq+bias"},
      {"int3+wmse+bias", "int3+wmse+gptq+bias", "int3+wmse+gptq+refit+bias"},
      {"int3+bias", "int3+awq+bias", "int3+awq+gptq+bias", "int3+awq+gptq+refit+bias"},
      {"nf4+bias", "nf4+gptq+bias"},
      {"codebook2:channel+bias", "codebook2:channel+trained+bias"}};
  int held = 0;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    const TokensApart tokens(seed);
    if (!tokens.layer.moments.weighted) continue;
    for (const auto& chain : chains) {
      double before = 0;
      for (const std::string& text : chain) {
        CAPTURE(seed, text);
        const QuantizedWeight weight = tokens.layer.as(text);
        const double error = tokens.layer.squared_error_on(tokens.inputs, weight);
        if (text != chain.front()) CHECK(error <= before * (1 + 1e-3) + 1e-6);
        const std::string plain = text.substr(0, text.size() - std::string("+bias").size());
        CHECK(error <= tokens.layer.squared_error_on(tokens.inputs, tokens.layer.as(plain)) * (1 + 1e-3) + 1e-6);
        held += tokens.is_held(weight) ? 1 : 0;
        before = error;
      }
    }
  }
  CHECK(held > 500);
}

TEST_CASE("a bias beside any steps by data leaves no larger output error than the steps alone") {
  const std::vector<std::string> choices{"int3+gptq",     "int2+affine+fit+gptq+refit", "int3+output+gptq",
                                         "int4+adaround", "int3:g8+affine+descent",     "int3+gain",
                                         "int3+awq+gptq", "int3+awq+hqq",              "int2:g8+awq+hqq",
                                         "binary+awq+billm"};
  int held = 0;
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    SampleLayer layer("few samples", {1, 4, 24, 1}, 1, seed);
    const std::vector<float> inputs = layer.inputs(seed + 50, 30 + static_cast<std::int64_t>(seed) * 5);
    layer.moments = {};
    layer.moments.columns = 24;
    layer.moments.rows = std::ssize(inputs) / 24;
    layer.add_inputs(inputs);
    for (const std::string& text : choices) {
      CAPTURE(seed, text);
      const QuantizedWeight without = layer.as(text), with = layer.as(text + "+bias");
      CHECK(layer.squared_error_on(inputs, with) <= layer.squared_error_on(inputs, without) * (1 + 1e-4));
      held += with.codes == without.codes;
    }
  }
  CHECK(held > 0);
}

TEST_CASE("where inputs hardly move beside their means a step beside a bias is taken only where float32 can tell") {
  const std::vector<std::vector<std::string>> chains{
      {"int3+absmax+bias", "int3+output+bias", "int3+output+gptq+bias", "int3+output+gptq+refit+bias"},
      {"int3:tensor+bias", "int3:tensor+awq+bias", "int3:tensor+awq+descent+bias"},
      {"nf4:g8+bias", "nf4:g8+gptq+bias"}};
  int gains = 0, steps = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SampleLayer layer("still", {1, 4, 12, 1}, 1, seed);
    std::vector<float> inputs = layer.inputs(seed + 50, 80);
    const std::vector<float> mean = sample("gauss", 12, seed + 60);
    const float size = seed % 2 == 0 ? 3000.0F : 30000.0F;
    for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] += size * mean[i % 12];
    layer.moments = {};
    layer.moments.columns = 12;
    layer.moments.rows = 80;
    layer.add_inputs(inputs);
    for (const auto& chain : chains) {
      double before = 0;
      for (const std::string& text : chain) {
        CAPTURE(seed, text);
        const double error = layer.squared_error_on(inputs, layer.as(text));
        if (text != chain.front()) {
          CHECK(error <= before * 1.2);
          gains += error < 0.9 * before;
          ++steps;
        }
        before = error;
      }
    }
  }
  CHECK(gains > steps / 10);
}

TEST_CASE("billm leaves no larger output error than binary, in all widths of its blocks") {
  int kept = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed)
    for (const std::string format : {"binary", "binary:g5", "binary:tensor"}) {
      const SampleLayer layer("Gemm", {1, 4, 3 + static_cast<std::int64_t>(seed % 17), 1}, 5, seed);
      CAPTURE(seed, format);
      const QuantizedWeight one_bit = layer.as(format), billm = layer.as(format + "+billm");
      CHECK(layer.error(billm.values) <= layer.error(one_bit.values) * (1 + 1e-5));
      for (std::size_t r = 0; r < 4; ++r) {
        const auto k = billm.values.size() / 4;
        kept += std::equal(one_bit.values.begin() + static_cast<std::ptrdiff_t>(r * k),
                           one_bit.values.begin() + static_cast<std::ptrdiff_t>((r + 1) * k),
                           billm.values.begin() + static_cast<std::ptrdiff_t>(r * k));
      }
    }
  CHECK(kept > 0);
}
