#include "quant/rewrites/awq.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "quant/rewrites/smoothquant.hpp"
#include "quant/roundings/layer_loss.hpp"

namespace bitplan {
namespace {

std::int64_t group_of(std::int64_t group, std::int64_t columns) {
  return group > 0 ? group : std::max<std::int64_t>(1, columns);
}

/// Largest magnitudes by row and group.
std::vector<float> group_maxima(std::span<const float> weights, std::int64_t columns, std::int64_t group) {
  const std::int64_t groups = (columns + group - 1) / group;
  const std::int64_t rows = columns == 0 ? 0 : static_cast<std::int64_t>(weights.size()) / columns;
  std::vector<float> out(static_cast<std::size_t>(rows * groups));
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) {
      float& most = out[static_cast<std::size_t>(r * groups + c / group)];
      most = std::max(most, std::abs(weights[static_cast<std::size_t>(r * columns + c)]));
    }
  return out;
}

RoundingProblem symmetric_problem(const AwqProblem& problem, std::span<const float> weights) {
  const std::int64_t group = group_of(problem.group, problem.columns);
  RoundingProblem out{problem.rows, problem.columns, weights, {}, problem.gram, {}, problem.threads};
  const std::int32_t half = 1 << (problem.bits - 1);
  out.grid = {-half,
              half - 1,
              (problem.columns + group - 1) / group,
              neighbour_groups(problem.columns, group),
              group_maxima(weights, problem.columns, group),
              {}};
  for (float& scale : out.grid.scales) scale = scale > 0 ? scale / static_cast<float>(half - 1) : 1.0F;
  out.grid.zero_points.resize(out.grid.scales.size());
  return out;
}

}  // namespace

std::vector<float> awq_weight_means(std::span<const float> weights, std::int64_t columns, std::int64_t group) {
  group = group_of(group, columns);
  const std::vector<float> maxima = group_maxima(weights, columns, group);
  const std::int64_t groups = (columns + group - 1) / group;
  const std::int64_t rows = columns == 0 ? 0 : static_cast<std::int64_t>(weights.size()) / columns;
  std::vector<float> out;
  for (std::int64_t c = 0; c < columns; ++c) {
    double sum = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
      const double most = maxima[static_cast<std::size_t>(r * groups + c / group)];
      if (most > 0) sum += std::abs(static_cast<double>(weights[static_cast<std::size_t>(r * columns + c)])) / most;
    }
    out.push_back(static_cast<float>(sum / static_cast<double>(std::max<std::int64_t>(1, rows))));
  }
  return out;
}

std::vector<float> awq_scales(std::span<const float> activation_mean, std::span<const float> weight_mean,
                              double alpha) {
  assert(activation_mean.size() == weight_mean.size());
  std::vector<double> scales(activation_mean.size(), 1.0);
  for (std::size_t i = 0; i < scales.size(); ++i)
    if (activation_mean[i] > 0 && weight_mean[i] > 0)
      scales[i] = std::clamp(std::pow(static_cast<double>(activation_mean[i]), alpha) /
                                 std::pow(static_cast<double>(weight_mean[i]), 1 - alpha),
                             1e-4, 1e4);
  if (scales.empty()) return {};
  const auto [least, most] = std::minmax_element(scales.begin(), scales.end());
  const double middle = std::sqrt(*least * *most);
  std::vector<float> out;
  for (const double scale : scales) out.push_back(static_cast<float>(scale / middle));
  return out;
}

double AwqResult::least_loss() const { return *std::min_element(losses.begin(), losses.end()); }

AwqResult awq_search(const AwqProblem& problem) {
  const RoundingProblem original = symmetric_problem(problem, problem.weights);
  check(original);
  const LayerLoss loss(original);
  const auto rows = static_cast<double>(std::max<std::int64_t>(1, problem.rows));
  const std::vector<float> weight_mean = awq_weight_means(problem.weights, problem.columns, problem.group);
  AwqResult out;
  out.unscaled_loss = loss.of(round_nearest(original).values) / rows;
  double least = HUGE_VAL;
  for (int i = 0; i <= 10; ++i) {
    const double alpha = i / 10.0;
    std::vector<float> scales = awq_scales(problem.activation_mean, weight_mean, alpha);
    const std::vector<float> moved =
        problem.columns > 0 ? scaled_columns(problem.weights, scales) : std::vector<float>();
    std::vector<float> values = round_nearest(symmetric_problem(problem, moved)).values;
    for (std::size_t v = 0; v < values.size(); ++v) values[v] /= scales[v % scales.size()];
    const double now = loss.of(values) / rows;
    out.alphas.push_back(alpha);
    out.losses.push_back(now);
    if (now < least) least = now, out.alpha = alpha, out.scales = std::move(scales);
  }
  return out;
}

}  // namespace bitplan
