#include <cmath>

#include "quant/bias_correction.hpp"
#include "quant/moments/gram.hpp"
#include "quant/rewrites/awq.hpp"
#include "quant/rewrites/equalisation.hpp"
#include "quant/rewrites/smoothquant.hpp"
#include "tests/golden/golden_checks.hpp"
#include "tests/golden/golden_weights.hpp"

// Methods on weights and statistics of activations: bias_correction, smoothquant, awq, cle.

namespace bitplan::test {
namespace {

std::vector<std::int64_t> widened(const std::vector<std::int16_t>& codes) { return {codes.begin(), codes.end()}; }

/// Nearest codes on symmetric scales of groups of `group` neighbours in each row.
RoundedWeight on_scales(const std::vector<float>& weight, const Shape& shape, std::int64_t group,
                        const std::vector<float>& scales, std::int32_t q_min, std::int32_t q_max) {
  RoundingProblem problem{shape[0], shape[1], weight, {}, {}, {}, 1};
  problem.grid = {q_min,
                  q_max,
                  (shape[1] + group - 1) / group,
                  neighbour_groups(shape[1], group),
                  scales,
                  std::vector<float>(scales.size())};
  return round_nearest(problem);
}

std::vector<double> positions(const std::vector<float>& weight, const std::vector<float>& scales) {
  std::vector<double> out;
  const std::size_t length = weight.size() / scales.size();
  for (std::size_t i = 0; i < weight.size(); ++i) out.push_back(static_cast<double>(weight[i]) / scales[i / length]);
  return out;
}

/// 3 x 3 convolution with padding 1, of one sample [channels, height, width], in double.
std::vector<float> conv3x3(const std::vector<float>& x, std::int64_t channels, std::int64_t height, std::int64_t width,
                           const std::vector<float>& weight, const std::vector<float>& bias) {
  std::vector<float> out;
  for (std::size_t o = 0; o < bias.size(); ++o)
    for (std::int64_t y = 0; y < height; ++y)
      for (std::int64_t at = 0; at < width; ++at) {
        double sum = bias[o];
        for (std::int64_t c = 0; c < channels; ++c)
          for (std::int64_t k = 0; k < 9; ++k) {
            const std::int64_t i = y + k / 3 - 1, j = at + k % 3 - 1;
            if (i < 0 || j < 0 || i >= height || j >= width) continue;
            sum += static_cast<double>(x[static_cast<std::size_t>((c * height + i) * width + j)]) *
                   weight[(o * static_cast<std::size_t>(channels) + static_cast<std::size_t>(c)) * 9 +
                          static_cast<std::size_t>(k)];
          }
        out.push_back(static_cast<float>(sum));
      }
  return out;
}

}  // namespace

Outcome check_bias_correction(const GoldenCase& c) {
  const std::vector<float> weight = c.floats("weight"), out = c.floats("out");
  const Tensor inputs = c.shared_array("act_file");
  GramAccumulator moments(c.shape("weight").at(1), false, 1);
  moments.add(inputs.values<float>());
  const std::vector<float> mean = moments.mean(), ours = bias_correction(weight, out, mean, mean);
  std::vector<float> corrected = c.floats("bias");
  for (std::size_t i = 0; i < corrected.size(); ++i) corrected[i] += ours[i];
  const QuantizedWeight nearest = quantize_weight(
      weight, WeightView::of(c.shape("weight"), 0),
      choice_of("int8:channel+absmax" + std::string(c.flag("narrow") ? "+narrow" : ""), *c.integer("bits")));
  const std::vector<float> scales = c.floats("scale");
  Comparison is(c);
  is.near("scales", nearest.scales, scales, 1e-6);
  is.codes_except_ties(widened(nearest.codes), c.integers("q"), positions(weight, scales), 1e-6);
  is.near("compensation", ours, c.floats("compensation"), 1e-4, 1e-6);
  is.near("bias", corrected, c.floats("out_bias"), 1e-4, 1e-6);
  const double rows = static_cast<double>(ours.size());
  is.near("output error taken away", corrected_error(ours) / rows,
          c.number("output_mse_before").value() - c.number("output_mse_after").value(), 1e-3, 1e-7);
  return is.outcome();
}

Outcome check_smoothquant(const GoldenCase& c) {
  const std::vector<float> weight = c.floats("weight");
  const Shape shape = c.shape("weight");
  const Tensor inputs = c.shared_array("act_file");
  std::vector<float> input_max(static_cast<std::size_t>(shape.at(1))), weight_max(input_max.size());
  add_column_maxima(inputs.values<float>(), input_max);
  add_column_maxima(weight, weight_max);
  const std::vector<float> ours = smoothquant_scales(input_max, weight_max, c.number("alpha").value());
  const std::vector<float> moved = scaled_columns(weight, ours);
  Comparison is(c);
  is.near("smooth_scale", ours, c.floats("smooth_scale"), 1e-5);
  is.near("smoothed weight", moved, c.floats("out_weight_smoothed"), 1e-5);
  const auto half = static_cast<std::int32_t>(1 << (*c.integer("bits") - 1));
  std::vector<float> scales;
  for (std::int64_t r = 0; r < shape[0]; ++r) {
    float most = 0;
    for (std::int64_t k = 0; k < shape[1]; ++k)
      most = std::max(most, std::abs(moved[static_cast<std::size_t>(r * shape[1] + k)]));
    scales.push_back(most / static_cast<float>(half - 1));
  }
  const RoundedWeight codes = on_scales(moved, shape, shape[1], scales, -half, half - 1);
  is.near("scales", scales, c.floats("scale"), 1e-5);
  is.codes_except_ties(widened(codes.codes), c.integers("q"), positions(moved, scales), 1e-6);
  return is.outcome();
}

Outcome check_awq(const GoldenCase& c) {
  const std::vector<float> weight = c.floats("weight");
  const Shape shape = c.shape("weight");
  const Tensor inputs = c.shared_array("act_file");
  const auto x = inputs.values<float>();
  GramAccumulator moments(shape.at(1), false, 1);
  moments.add(x);
  std::vector<double> sums(static_cast<std::size_t>(shape[1]));
  for (std::size_t i = 0; i < x.size(); ++i) sums[i % sums.size()] += std::abs(static_cast<double>(x[i]));
  std::vector<float> mean;
  for (const double sum : sums) mean.push_back(static_cast<float>(sum / static_cast<double>(moments.count())));
  const std::vector<float> gram = moments.gram();
  const AwqResult ours = awq_search({shape[0], shape[1], weight, mean, gram, static_cast<int>(*c.integer("bits")),
                                     c.integer("group_size").value_or(shape[1]), 1});
  Comparison is(c);
  is.near("act_scale", mean, c.floats("act_scale"), 1e-5);
  is.near("weight_scale", awq_weight_means(weight, shape[1], *c.integer("group_size")), c.floats("weight_scale"), 1e-5);
  const double batches = std::stod(c.text("batches"));  // "2 batches …": the package adds their errors up
  std::vector<double> theirs, scaled;
  for (std::size_t i = 0; i < ours.alphas.size(); ++i) {
    for (const auto& [alpha, loss] : c.meta.at("alpha_grid_loss").items())
      if (std::abs(std::stod(alpha) - ours.alphas[i]) < 1e-3) theirs.push_back(loss.get<double>());
    scaled.push_back(batches * ours.losses[i]);
  }
  const double largest = theirs.empty() ? 0 : *std::max_element(theirs.begin(), theirs.end());
  is.near("losses", scaled, theirs, 1e-3, 1e-9 * largest);  // one may be 0 but for rounding
  const double best = c.number("best_alpha").value();
  std::size_t at = 0;
  while (at + 1 < ours.alphas.size() && std::abs(ours.alphas[at] - best) > 1e-3) ++at;
  const double least = *std::min_element(ours.losses.begin(), ours.losses.end());
  is.holds(ours.losses[at] <= least * (1 + 1e-3), "the package's alpha has the least loss here too");
  if (std::abs(ours.alpha - best) < 1e-3) is.near("awq_scale", ours.scales, c.floats("awq_scale"), 1e-4);
  return is.outcome();
}

Outcome check_cle(const GoldenCase& c) {
  std::vector<float> w1 = c.floats("weight1"), b1 = c.floats("bias1"), w2 = c.floats("weight2");
  const Shape s1 = c.shape("weight1"), s2 = c.shape("weight2"), image = c.shape("act");
  if (c.text("layer") != "conv3x3 pad1 -> ReLU -> conv3x3 pad1" || image.at(0) != 1)
    return Outcome::fail("the layers '" + c.text("layer") + "' are covered by no rule");
  const auto extent = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  const ChannelBlock out_channels{1, extent(s1[0]), extent(s1[1] * s1[2] * s1[3])};
  const ChannelBlock in_channels{extent(s2[0]), extent(s2[1]), extent(s2[2] * s2[3])};
  const std::vector<float> scales =
      equalisation_scales(channel_ranges(w1, out_channels), channel_ranges(w2, in_channels));
  divide_channels(w1, out_channels, scales);
  divide_channels(b1, {1, b1.size(), 1}, scales);
  multiply_channels(w2, in_channels, scales);
  Comparison is(c);
  is.near("scale", scales, c.floats("scale"), 1e-5).near("weight1", w1, c.floats("out_weight1"), 1e-5);
  is.near("bias1", b1, c.floats("out_bias1"), 1e-5).near("weight2", w2, c.floats("out_weight2"), 1e-5);
  std::vector<float> middle = conv3x3(c.floats("act"), image[1], image[2], image[3], w1, b1);
  for (float& v : middle) v = std::max(v, 0.0F);
  is.near("output", conv3x3(middle, s1[0], image[2], image[3], w2, c.floats("bias2")), c.floats("y"), 1e-4, 1e-4);
  return is.outcome();
}

}  // namespace bitplan::test
