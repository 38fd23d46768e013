#include <cmath>
#include <limits>

#include "quant/bias_correction.hpp"
#include "quant/rewrites/awq.hpp"
#include "quant/rewrites/equalisation.hpp"
#include "quant/rewrites/smoothquant.hpp"
#include "quant/roundings/layer_loss.hpp"
#include "quant/roundings/power_exponent.hpp"
#include "tests/catch.hpp"
#include "tests/quant/rounding_samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

TEST_CASE("bias correction restores the mean of each output channel") {
  const std::vector<float> weights{1, 2, 3, 4}, quantized{1, 1, 3, 5}, mean{2, 10};
  CHECK(bias_correction(weights, quantized, mean, mean) == std::vector<float>{10, -10});
  CHECK(bias_correction(weights, weights, mean, std::vector<float>{2, 9}) == std::vector<float>{2, 4});
  CHECK(corrected_error(std::vector<float>{3, -4}) == 25);
  CHECK(bias_correction({}, {}, mean, mean).empty());
  CHECK_THROWS_WITH(bias_correction(weights, quantized, std::vector<float>{NAN, 1}, mean),
                    "bias correction of channel 0 is nan; weights and input means must be finite");
}

TEST_CASE("expected value and variance behind Relu and Relu6 are those of many samples") {
  for (const auto& [mean, deviation] : {std::pair{0.0, 1.0}, {1.5, 0.7}, {-2.0, 1.0}, {5.5, 2.0}}) {
    double relu = 0, relu6 = 0, square = 0, square6 = 0;
    Rng rng(1, "relu");
    constexpr int n = 40000;
    for (int i = 0; i < n; ++i) {
      const double x = mean + deviation * rng.normal();
      relu += std::max(x, 0.0) / n;
      relu6 += std::clamp(x, 0.0, 6.0) / n;
      square += std::pow(std::max(x, 0.0), 2) / n;
      square6 += std::pow(std::clamp(x, 0.0, 6.0), 2) / n;
    }
    CHECK(expected_relu(mean, deviation) == Approx(relu).margin(0.03));
    CHECK(expected_relu(mean, deviation, 6) == Approx(relu6).margin(0.03));
    CHECK(variance_relu(mean, deviation) == Approx(square - relu * relu).epsilon(0.03).margin(1e-3));
    CHECK(variance_relu(mean, deviation, 6) == Approx(square6 - relu6 * relu6).epsilon(0.03).margin(1e-3));
  }
  CHECK(expected_relu(0, 1) == Approx(1 / std::sqrt(2 * 3.14159265358979)));
  CHECK(expected_relu(-1, 0) == 0);
  CHECK(expected_relu(7, 0, 6) == 6);
  CHECK(variance_relu(7, 0, 6) == 0);
  CHECK(variance_relu(50, 2) == Approx(4));
  CHECK(variance_relu(-50, 2) == 0);
}

TEST_CASE("gains give back what clipping takes, and never raise the layer loss") {
  CHECK(weight_gain(std::vector<float>{2, 4}, std::vector<float>{1, 2}) == 2);
  CHECK(weight_gain(std::vector<float>{0, 0}, std::vector<float>{0, 0}) == 1);
  CHECK(weight_gain(std::vector<float>{1, 0}, std::vector<float>{-1, 0}) == 1);
  const SmallProblem small(6, 10, 2);
  RoundedWeight nearest = round_nearest(small.problem);
  const LayerLoss loss(small.problem);
  const std::vector<double> before = loss.of_rows(nearest.values), gains = output_gains(small.problem, nearest.values);
  for (std::size_t i = 0; i < nearest.values.size(); ++i) nearest.values[i] *= static_cast<float>(gains[i / 10]);
  const std::vector<double> after = loss.of_rows(nearest.values);
  for (std::size_t r = 0; r < 6; ++r) CHECK(after[r] <= before[r] * (1 + 1e-5));
  for (float& v : nearest.values) v *= 1.01F;  // any other gain is worse
  CHECK(loss.of(nearest.values) > after[0] + after[1] + after[2] + after[3] + after[4] + after[5]);
  CHECK(output_gains(small.problem, std::vector<float>(60)) == std::vector<double>(6, 1.0));
}

TEST_CASE("SmoothQuant shares outliers between inputs and weights, by hand, and leaves dead channels alone") {
  CHECK(smoothquant_scales(std::vector<float>{16, 1, 0, 3}, std::vector<float>{4, 4, 1, 0}, 0.5) ==
        std::vector<float>{2, 0.5F, 1, 1});
  CHECK(smoothquant_scales(std::vector<float>{1e20F}, std::vector<float>{1e-20F}, 0.5) == std::vector<float>{1e4F});
  std::vector<float> maxima(2);
  add_column_maxima(std::vector<float>{1, -5, -2, 3}, maxima);
  CHECK(maxima == std::vector<float>{2, 5});
  CHECK(scaled_columns(std::vector<float>{1, 2, 3, 4}, std::vector<float>{2, 0.5F}) == std::vector<float>{2, 1, 6, 2});
  CHECK_THROWS_WITH(smoothquant_scales(std::vector<float>{1, NAN}, std::vector<float>{1, 1}, 0.5),
                    "smoothquant: the largest magnitude of input channel 1 is nan; it must be finite and at least 0");
  CHECK_THROWS_WITH(
      smoothquant_scales(std::vector<float>{1}, std::vector<float>{-1}, 0.5),
      "smoothquant: the largest magnitude of weight channel 0 is -1.000000; it must be finite and at least 0");
}

TEST_CASE("AWQ takes the exponent of least output error; even scales are among those it tries") {
  CHECK(awq_scales(std::vector<float>{4, 1}, std::vector<float>{1, 1}, 1) == std::vector<float>{2, 0.5F});
  CHECK(awq_weight_means(std::vector<float>{1, -2, 4, 2}, 2, 0) == std::vector<float>{0.75F, 0.75F});
  SmallProblem small(4, 8, 3);
  for (std::size_t i = 0; i < small.inputs.size(); i += 8) small.inputs[i] *= 20;  // an outlier channel
  GramAccumulator moments(8, false, 1);
  moments.add(small.inputs);
  const auto gram = moments.gram();
  std::vector<float> mean(8);
  for (std::size_t i = 0; i < small.inputs.size(); ++i) mean[i % 8] += std::abs(small.inputs[i]) / 64;
  const AwqResult out = awq_search({4, 8, small.weights, mean, gram, 3, 0, 1});
  CHECK(out.losses.size() == 11);
  for (const double loss : out.losses) CHECK(out.losses[static_cast<std::size_t>(std::lround(out.alpha * 10))] <= loss);
  CHECK(out.alpha > 0);
  CHECK(out.scales[0] > out.scales[1]);
}

TEST_CASE("equalisation brings the ranges of both layers together") {
  const std::vector<float> scales = equalisation_scales(std::vector<float>{8, 1, 0}, std::vector<float>{2, 4, 3});
  CHECK(scales == std::vector<float>{2, 0.5F, 1});
  std::vector<float> first{8, -4, 1, 1}, second{2, 4, -1, 2};  // [2, 2]: output channels; input channels
  divide_channels(first, {1, 2, 2}, std::vector<float>{2, 0.5F});
  multiply_channels(second, {2, 2, 1}, std::vector<float>{2, 0.5F});
  CHECK(first == std::vector<float>{4, -2, 2, 2});
  CHECK(second == std::vector<float>{4, 2, -2, 1});
  CHECK(channel_ranges(first, {1, 2, 2}) == channel_ranges(second, {2, 2, 1}));
  const auto [s1, s2] =
      equalisation_scales(std::vector<float>{8, 1}, std::vector<float>{1, 0}, std::vector<float>{1, 1});
  CHECK(s1 == std::vector<float>{4, 1});  // ranges become 2: 8 / 4, 1 * 4 / 2, 1 * 2
  CHECK(s2 == std::vector<float>{2, 1});
  CHECK_THROWS_WITH(
      equalisation_scales(channel_ranges(std::vector<float>{1, NAN, 3}, {1, 1, 3}), std::vector<float>{1}),
      "equalisation: the largest weight of channel 0 is nan; it must be finite and at least 0");
}

TEST_CASE("the power quantizer with exponent 1 is absmax; its steps grow with the value below 1") {
  const std::vector<float> weights{-7, 3.4F, 1, 0};
  const PowerQuantized plain = power_quantize(weights, 1, 4, 1);
  CHECK(plain.codes == std::vector<std::int16_t>{-7, 3, 1, 0});
  CHECK(plain.values == std::vector<float>{-7, 3, 1, 0});
  const PowerQuantized root = power_quantize(std::vector<float>{49, 10, -1, 0}, 1, 4, 0.5);
  CHECK(root.codes == std::vector<std::int16_t>{7, 3, -1, 0});
  CHECK(root.values[1] == Approx(9));
  CHECK(power_quantize(std::vector<float>(4), 2, 4, 0.5).values == std::vector<float>(4));
  CHECK_THROWS(power_quantize(std::vector<float>{1, NAN}, 1, 4, 0.5));
}

TEST_CASE("the slope of the power exponent is that of finite differences with the rounding held fixed") {
  const SmallProblem small(3, 20, 3);
  const LayerLoss loss(small.problem);
  for (const double a : {0.5, 0.8}) {
    const PowerQuantized here = power_quantize(small.weights, 3, 3, a);
    const auto frozen = [&](double moved) {
      std::vector<float> values(60);
      for (std::size_t i = 0; i < 60; ++i) {
        if (here.codes[i] == 0) continue;
        double most = 0;
        for (std::size_t c = 0; c < 20; ++c)
          most = std::max(most, std::abs(static_cast<double>(small.weights[i / 20 * 20 + c])));
        const double w = small.weights[i], sign = w < 0 ? -1 : 1;
        const double rest = here.codes[i] - sign * std::pow(std::abs(w), a) / here.scales[i / 20];
        const double scale = std::pow(most, moved) / 3;
        const double u = std::abs(sign * std::pow(std::abs(w), moved) + rest * scale);
        values[i] = static_cast<float>((here.codes[i] < 0 ? -1 : 1) * std::pow(u, 1 / moved));
      }
      return loss.of(values);
    };
    CHECK(power_slope(small.problem, 3, a) ==
          Approx((frozen(a + 1e-3) - frozen(a - 1e-3)) / 2e-3).epsilon(0.02).margin(0.01));
  }
}

TEST_CASE("learning the power quantizer lowers the layer loss") {
  const SmallProblem small(4, 24, 3);
  const PowerRounded out = round_power(small.problem, 3, 20);
  CHECK(out.loss < 0.8 * out.start_loss);
  CHECK(out.loss == Approx(LayerLoss(small.problem).of(out.weight.values)).epsilon(1e-5));
  const PowerQuantized same = out.weight;
  for (std::size_t i = 0; i < same.values.size(); ++i) {
    const double size = std::pow(std::abs(same.codes[i]) * same.scales[i / 24], 1 / same.exponent);
    CHECK(same.values[i] == Approx(same.codes[i] < 0 ? -size : size).epsilon(1e-5));
  }
}
