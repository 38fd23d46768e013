#include "quant/output_judge.hpp"

#include <algorithm>
#include <cmath>

#include "quant/moments/centred_moments.hpp"
#include "quant/moments/token_weights.hpp"
#include "tests/catch.hpp"
#include "tests/quant/layer_samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

constexpr std::size_t kColumns = 4, kRows = 3, kTokens = 33;

/// Usual tokens about one point and a few huge ones about another, in the float network and in the quantized one; all
/// sums by their definition, in double.
struct Drifted {
  SampleLayer layer{"Gemm", {1, kRows, kColumns, 1}, 1};
  std::vector<float> x, xq;
  double usual = 0;

  explicit Drifted(std::uint64_t seed) {
    const std::vector<float> noise = sample("gauss", kTokens * kColumns, seed),
                             drift = sample("gauss", noise.size(), seed + 1),
                             usual_point = sample("gauss", kColumns, seed + 2),
                             huge = sample("gauss", kColumns, seed + 3);
    for (std::size_t i = 0; i < noise.size(); ++i) {
      const std::size_t c = i % kColumns;
      x.push_back(i / kColumns < kTokens - 3 ? 2 * usual_point[c] + 0.3F * noise[i] : 40 * huge[c] + noise[i]);
      xq.push_back(x.back() + 0.1F * drift[i] + 0.05F);
    }
    usual = usual_energy(x, static_cast<std::int64_t>(kColumns)).value();
    layer.moments = {};
    layer.moments.columns = static_cast<std::int64_t>(kColumns);
    layer.moments.rows = static_cast<std::int64_t>(kTokens);
    GramAccumulator sums(layer.moments.columns, true, 1);
    sums.add(xq, x);
    GramAccumulator reference(layer.moments.columns, false, 1);
    reference.add(x);
    layer.moments.gram = {sums.gram()};
    layer.moments.cross = {sums.cross()};
    layer.moments.mean = {sums.mean()};
    layer.moments.float_mean = {reference.mean()};
    layer.moments.abs_max = {std::vector<float>(kColumns)};
    for (std::size_t i = 0; i < x.size(); ++i) {
      float& most = layer.moments.abs_max[0][i % kColumns];
      most = std::max(most, std::abs(x[i]));
    }
    WeightedMoments weighted(usual, layer.moments.columns, true, 1);
    std::vector<float> left = x, right = xq;
    weighted.add(left, right);
    layer.moments.weighted = std::make_shared<const LayerMoments>(weighted.finish());
  }

  double weight_of(std::size_t token) const {
    double energy = 0;
    for (std::size_t c = 0; c < kColumns; ++c) energy += std::pow(static_cast<double>(x[token * kColumns + c]), 2);
    return std::min(1.0, usual / energy);
  }
  /// w . x - w' . xq
  double difference(std::size_t row, std::size_t token, const std::vector<float>& values) const {
    double sum = 0;
    for (std::size_t c = 0; c < kColumns; ++c)
      sum += static_cast<double>(layer.weights[row * kColumns + c]) * static_cast<double>(x[token * kColumns + c]) -
             static_cast<double>(values[row * kColumns + c]) * static_cast<double>(xq[token * kColumns + c]);
    return sum;
  }
  RowError error(std::size_t row, const std::vector<float>& values, double bias) const {
    RowError out;
    double weights = 0;
    for (std::size_t t = 0; t < kTokens; ++t) {
      const double y = difference(row, t, values), w = weight_of(t);
      out.plain += (y - bias) * (y - bias) / kTokens;
      out.without_bias += y * y / kTokens;
      out.weighted += w * (y - bias) * (y - bias);
      weights += w;
    }
    out.weighted /= weights;
    return out;
  }
};

QuantizedWeight two_rows(std::vector<float> scales, std::vector<float> values) {
  QuantizedWeight out;
  out.codes = {1, 1};
  out.scales = std::move(scales);
  out.zero_points.assign(out.scales.size(), 0);
  out.values = std::move(values);
  return out;
}

}  // namespace

TEST_CASE("errors beside a bias are those that tokens have with the bias the layer is given, held or not") {
  int held = 0, free = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const Drifted drifted(seed);
    const LayerMoments& moments = drifted.layer.moments;
    const LayerRows about_means =
        LayerRows::of(drifted.layer.layer(), std::make_shared<const LayerMoments>(centred(moments)), true);
    const std::vector<float>& float_weights = drifted.layer.weights;
    const std::vector<float> coarse = drifted.layer.as("int2").values, fine = drifted.layer.as("int4").values;
    const OutputJudge judge(about_means);
    const auto of_coarse = judge.errors(coarse), of_fine = judge.errors(fine);
    const auto bias_of = [&](const std::vector<float>& values) {
      return empirical_bias(drifted.layer.view, float_weights, values, moments);
    };
    const std::vector<float> coarse_bias = bias_of(coarse), fine_bias = bias_of(fine),
                             wanted = mean_difference(drifted.layer.view, float_weights, coarse, *moments.weighted);
    for (std::size_t r = 0; r < kRows; ++r) {
      (coarse_bias[r] == wanted[r] ? free : held) += 1;
      // What does not depend on the values is not in them: differences are the same.
      const RowError a = drifted.error(r, coarse, static_cast<double>(coarse_bias[r])),
                     b = drifted.error(r, fine, static_cast<double>(fine_bias[r]));
      const double size = a.without_bias + b.without_bias;
      CAPTURE(seed, r, size);
      CHECK(of_coarse[r].plain - of_fine[r].plain == Approx(a.plain - b.plain).margin(1e-4 * size));
      CHECK(of_coarse[r].weighted - of_fine[r].weighted ==
            Approx(a.weighted - b.weighted).margin(1e-4 * (a.weighted + b.weighted)));
      CHECK(of_coarse[r].without_bias - of_fine[r].plain == Approx(a.without_bias - b.plain).margin(1e-4 * size));
    }
  }
  CHECK(held > 10);
  CHECK(free > 10);
}

TEST_CASE("steps are judged with the columns in float as they are kept, drift of their inputs and all") {
  const std::vector<std::vector<std::string>> chains{
      {"int3+absmax", "int3+output", "int3+output+gptq", "int3+output+gptq+refit"},
      {"int2+affine", "int2+affine+descent", "int2+affine+descent+refit"},
      {"ternary", "ternary+gain", "ternary+gain+gptq"}};
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const Drifted drifted(seed);
    for (const auto& chain : chains)
      for (const std::string bias : {"", "+bias"}) {
        std::vector<double> before;
        for (const std::string& text : chain) {
          const QuantizedWeight weight = drifted.layer.as(text + "+outliers25" + bias);
          REQUIRE(weight.float_columns.size() == 1);
          for (std::size_t r = 0; r < kRows; ++r) {
            const double error =
                drifted.error(r, weight.values, bias.empty() ? 0 : static_cast<double>(weight.bias[r])).plain;
            CAPTURE(seed, text, bias, r);
            if (before.size() == kRows) CHECK(error <= before[r] * (1 + 1e-3));
            (before.size() == kRows ? before[r] : before.emplace_back()) = error;
          }
        }
      }
  }
}

TEST_CASE("rows are taken where neither error is larger, all or none where a scale is all rows'") {
  const JudgedWeight other{two_rows({2, 3}, {20, 30}), {{1, 1, 1}, {5, 0, 5}}};
  JudgedWeight kept{two_rows({1, 1}, {1, 2}), {{1, 1, 2}, {4, 4, 4}}};
  take_better(kept, other);
  CHECK(kept.weight.values == std::vector<float>{20, 2});
  CHECK(kept.weight.scales == std::vector<float>{2, 1});
  CHECK(kept.errors[0].without_bias == 1);
  CHECK(kept.errors[1].plain == 4);

  kept = {two_rows({1, 1}, {1, 2}), {{9, 0, 9}, {9, 0, 9}}};
  take_better(kept, {two_rows({2, 3}, {20, 30}), {{8, 1, 8}, {8, 0, 8}}});
  CHECK(kept.weight.values == std::vector<float>{1, 30});

  kept = {two_rows({1, 1}, {1, 2}), {{9, 0, 9}, {9, 0, 9}}};  // as far as float32 knows
  take_better(kept, {two_rows({2, 3}, {20, 30}), {{8, 0, 8, 0.5}, {8, 0, 8, 1.5}}});
  CHECK(kept.weight.values == std::vector<float>{20, 2});

  kept = {two_rows({1}, {1, 2}), {{9, 0, 9}, {1, 0, 1}}};
  take_better(kept, {two_rows({2}, {20, 30}), {{5, 0, 5}, {6, 0, 6}}});
  CHECK(kept.weight.values == std::vector<float>{1, 2});
  take_better(kept, {two_rows({2}, {20, 30}), {{5, 0, 5}, {4, 0, 4}}});
  CHECK(kept.weight.values == std::vector<float>{20, 30});
  CHECK(kept.weight.scales == std::vector<float>{2});
}

TEST_CASE("rows that would be better off without a bias are given up for those") {
  JudgedWeight kept{two_rows({1, 1}, {1, 2}), {{3, 0, 7}, {6, 0, 7}}};
  hold_below(kept, {two_rows({2, 3}, {20, 30}), {{2, 0, 4}, {4, 9, 5}}});
  CHECK(kept.weight.values == std::vector<float>{1, 30});
  CHECK(kept.errors[1].plain == 4);

  kept.weight.column_scales = {2, 1};
  hold_below(kept, {two_rows({2, 3}, {20, 30}), {{0, 0, 1}, {0, 0, 1}}});
  CHECK(kept.weight.values == std::vector<float>{20, 30});
  CHECK(kept.weight.column_scales.empty());
}
