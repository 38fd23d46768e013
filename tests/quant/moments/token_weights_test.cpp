#include "quant/moments/token_weights.hpp"

#include <cmath>

#include "quant/roundings/layer_loss.hpp"
#include "tests/catch.hpp"
#include "tests/quant/layer_samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

/// A linear layer; every 40th of its tokens is 30 times as large as the others and points elsewhere.
struct HugeTokens {
  SampleLayer layer{"Gemm", {1, 8, 24}, 1};
  std::vector<float> usual, all;

  explicit HugeTokens(std::uint64_t seed = 1) {
    const std::int64_t k = layer.view.per_channel();
    usual = layer.inputs(seed + 20, 390);
    all = usual;
    std::vector<float> huge = sample("gauss", static_cast<std::size_t>(10 * k), seed + 30);
    for (std::size_t i = 0; i < huge.size(); ++i) huge[i] = 60 * (huge[i] + (i % 5 == 0 ? 3.0F : 0.0F));
    all.insert(all.end(), huge.begin(), huge.end());
    layer.moments = {};
    layer.moments.columns = k;
    layer.moments.rows = 400;
    layer.add_inputs(all);
  }

  void weigh() {
    const std::int64_t k = layer.moments.columns;
    WeightedMoments sums(usual_energy(all, k).value(), k, false, 1);
    std::vector<float> rows = all;
    sums.add(rows, {});
    layer.moments.weighted = std::make_shared<const LayerMoments>(sums.finish());
  }

  /// Mean squared output error of the usual tokens, after the bias.
  double error_of_usual(const QuantizedWeight& weight) const {
    return layer.squared_error_on(usual, weight) * static_cast<double>(layer.moments.columns) /
           static_cast<double>(usual.size());
  }
};

}  // namespace

TEST_CASE("tokens have a usual energy where a few have most of it, and only there") {
  const std::vector<float> alike{1, 0, 0, 1, -1, 0, 1, 1};
  CHECK_FALSE(usual_energy(alike, 2));
  CHECK_FALSE(usual_energy({}, 2));
  CHECK(usual_energy(std::vector<float>{1, 1, 0, 1, 9, 0, 1, 0, 1, 1}, 2) == 2.0);
  CHECK_FALSE(usual_energy(std::vector<float>{0, 0, 0, 0, 0, 0, 5, 5}, 2));
}

TEST_CASE("weighted moments are weighted means over tokens, however these are split") {
  const std::int64_t k = 5;
  std::vector<float> x = sample("gauss", 40, 3), xq = x;
  for (std::size_t c = 0; c < 5; ++c) x[10 + c] *= 20;
  for (float& v : xq) v = std::round(v * 4) / 4;
  const double usual = 4;
  std::vector<double> gram(25), cross(25), mean(5), float_mean(5);
  double weights = 0;
  for (std::size_t t = 0; t < 8; ++t) {
    double size = 0;
    for (std::size_t c = 0; c < 5; ++c) size += static_cast<double>(x[t * 5 + c]) * static_cast<double>(x[t * 5 + c]);
    const double w = std::min(1.0, usual / size);
    weights += w;
    for (std::size_t r = 0; r < 5; ++r) {
      const auto q = static_cast<double>(xq[t * 5 + r]);
      mean[r] += w * q;
      float_mean[r] += w * static_cast<double>(x[t * 5 + r]);
      for (std::size_t c = 0; c < 5; ++c) {
        gram[r * 5 + c] += w * q * static_cast<double>(xq[t * 5 + c]);
        cross[r * 5 + c] += w * q * static_cast<double>(x[t * 5 + c]);
      }
    }
  }
  for (const std::size_t first : {std::size_t{40}, std::size_t{15}}) {
    WeightedMoments sums(usual, k, true, 2);
    std::vector<float> left = x, right = xq;
    sums.add(std::span(left).first(first), std::span(right).first(first));
    if (first < 40) sums.add(std::span(left).subspan(first), std::span(right).subspan(first));
    const LayerMoments found = sums.finish();
    CHECK(found.rows == 8);
    for (std::size_t i = 0; i < 25; ++i) {
      CHECK(found.gram[0][i] == Approx(gram[i] / weights).epsilon(1e-4).margin(1e-5));
      CHECK(found.cross[0][i] == Approx(cross[i] / weights).epsilon(1e-4).margin(1e-5));
    }
    for (std::size_t c = 0; c < 5; ++c) {
      CHECK(found.mean[0][c] == Approx(mean[c] / weights).epsilon(1e-5).margin(1e-6));
      CHECK(found.float_mean[0][c] == Approx(float_mean[c] / weights).epsilon(1e-5).margin(1e-6));
    }
  }
}

TEST_CASE("with few huge tokens codes, scales and bias together fit the usual ones") {
  for (const std::string choice : {"int4+affine+fit+gptq+refit+bias", "int3+descent+bias"}) {
    HugeTokens tokens;
    const double plain = tokens.error_of_usual(tokens.layer.as(choice));
    tokens.weigh();
    const QuantizedWeight weight = tokens.layer.as(choice);
    CAPTURE(choice, plain, tokens.error_of_usual(weight));
    CHECK(tokens.error_of_usual(weight) < 0.8 * plain);
  }
}

TEST_CASE("with weights of tokens no step leaves the output error larger, neither weighted nor plain") {
  for (const std::uint64_t seed : {1, 2, 3}) {
    HugeTokens tokens(seed);
    tokens.weigh();
    SampleLayer weighted = tokens.layer;
    weighted.moments = *tokens.layer.moments.weighted;
    for (const std::string base : {"int3", "int3+affine+fit", "int2:g8+affine"}) {
      std::string before = base;
      for (const std::string step : {"+gptq", "+gptq+refit"}) {
        CAPTURE(base, step, seed);
        const QuantizedWeight from = tokens.layer.as(before), to = tokens.layer.as(base + step);
        CHECK(tokens.layer.error(to.values) <= tokens.layer.error(from.values) * (1 + 1e-5));
        CHECK(weighted.error(to.values) <= weighted.error(from.values) * (1 + 1e-5));
        before = base + step;
      }
      const QuantizedWeight biased = tokens.layer.as(base + "+gptq+refit+bias");
      CHECK(tokens.layer.error(biased.values, true) <= tokens.layer.error(biased.values) * (1 + 1e-5));
    }
  }
}

TEST_CASE(
    "the bias beside weights of tokens is that of the weighted means, held to what makes the plain error no larger") {
  HugeTokens tokens;
  tokens.weigh();
  const QuantizedWeight weight = tokens.layer.as("int3+bias");
  const LayerMoments &plain = tokens.layer.moments, &weighted = *plain.weighted;
  const auto& view = tokens.layer.view;
  const auto best = mean_difference(view, tokens.layer.weights, weight.values, plain);
  const auto wanted = mean_difference(view, tokens.layer.weights, weight.values, weighted);
  int held = 0;
  for (std::size_t o = 0; o < best.size(); ++o) {
    const float low = std::min(0.0F, 2 * best[o]), high = std::max(0.0F, 2 * best[o]);
    CHECK(weight.bias[o] == std::min(std::max(wanted[o], low), high));
    held += weight.bias[o] == wanted[o] ? 0 : 1;
  }
  CHECK(held < static_cast<int>(best.size()));
}
