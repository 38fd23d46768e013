#include "quant/layer_error.hpp"

#include <algorithm>
#include <cstddef>

#include "quant/bias_correction.hpp"
#include "quant/roundings/layer_loss.hpp"
#include "quant/weight_rows.hpp"

namespace bitplan {

std::size_t LayerMoments::bytes() const {
  std::size_t floats = 0;
  for (const auto* matrices : {&gram, &cross, &mean, &float_mean, &abs_mean, &abs_max})
    for (const auto& matrix : *matrices) floats += matrix.size();
  return floats * sizeof(float) + (weighted ? weighted->bytes() : 0);
}

std::vector<float> mean_difference(const WeightView& view, std::span<const float> weights,
                                   std::span<const float> values, const LayerMoments& moments) {
  const std::vector<float> from = to_rows(weights, view), to = to_rows(values, view);
  const std::size_t size = from.size() / static_cast<std::size_t>(moments.groups);
  std::vector<float> out;
  for (std::size_t g = 0; g < static_cast<std::size_t>(moments.groups); ++g) {
    const auto part = bias_correction(std::span(from).subspan(g * size, size), std::span(to).subspan(g * size, size),
                                      moments.float_mean[g], moments.mean[g]);
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

std::vector<float> mean_difference(const WeightView& view, std::span<const float> weights,
                                   std::span<const float> values, std::span<const float> expected) {
  LayerMoments moments;
  moments.groups = static_cast<std::int64_t>(expected.size()) / view.per_channel();
  const auto columns = static_cast<std::size_t>(view.per_channel());
  for (std::size_t at = 0; at < expected.size(); at += columns) {
    const auto means = expected.subspan(at, columns);
    moments.mean.emplace_back(means.begin(), means.end());
  }
  moments.float_mean = moments.mean;
  return mean_difference(view, weights, values, moments);
}

float held_bias(float wanted, float mean) {
  return std::clamp(wanted, std::min(0.0F, 2 * mean), std::max(0.0F, 2 * mean));
}

std::vector<float> empirical_bias(const WeightView& view, std::span<const float> weights, std::span<const float> values,
                                  const LayerMoments& moments) {
  const std::vector<float> plain = mean_difference(view, weights, values, moments);
  if (!moments.weighted) return plain;
  std::vector<float> bias = mean_difference(view, weights, values, *moments.weighted);
  for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = held_bias(bias[i], plain[i]);
  return bias;
}

double output_error(const LayerWeight& weight, std::span<const float> values, bool with_bias) {
  const LayerMoments& moments = *weight.moments;
  const std::vector<float> from = to_rows(weight.values, weight.view), to = to_rows(values, weight.view);
  const auto columns = static_cast<std::size_t>(moments.columns);
  const std::size_t size = from.size() / static_cast<std::size_t>(moments.groups);
  double sum = 0;
  for (std::size_t g = 0; g < static_cast<std::size_t>(moments.groups) && size > 0; ++g) {
    const auto w = std::span(from).subspan(g * size, size), q = std::span(to).subspan(g * size, size);
    RoundingProblem problem{
        static_cast<std::int64_t>(size / columns), moments.columns, w, {}, moments.gram[g], {}, weight.threads};
    if (!moments.cross.empty()) problem.cross = moments.cross[g];
    problem.first_row = static_cast<std::int64_t>(g) * problem.rows;
    sum += LayerLoss(problem).of(q);
  }
  if (!with_bias) return sum;
  const std::vector<float> mean = mean_difference(weight.view, weight.values, values, moments),
                           bias = empirical_bias(weight.view, weight.values, values, moments);
  // E (y + b)^2 = E y^2 + b (b - 2 m), m = -E y
  for (std::size_t i = 0; i < bias.size(); ++i) {
    const auto b = static_cast<double>(bias[i]), m = static_cast<double>(mean[i]);
    sum += b * (b - 2 * m);
  }
  return sum;
}

}  // namespace bitplan
