#include "quant/bias_correction.hpp"

#include <cassert>
#include <cmath>
#include <numbers>
#include <string>

#include "core/error.hpp"
#include "quant/roundings/layer_loss.hpp"

namespace bitplan {
namespace {

double density(double x) { return std::isinf(x) ? 0 : std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi); }
double distribution(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

}  // namespace

std::vector<float> bias_correction(std::span<const float> weights, std::span<const float> quantized,
                                   std::span<const float> mean, std::span<const float> quantized_mean) {
  assert(weights.size() == quantized.size() && mean.size() == quantized_mean.size());
  const std::size_t k = mean.size();
  assert(k > 0 ? weights.size() % k == 0 : weights.empty());
  std::vector<float> out;
  for (std::size_t row = 0; row < weights.size(); row += k) {
    double sum = 0;
    for (std::size_t c = 0; c < k; ++c)
      sum += static_cast<double>(weights[row + c]) * static_cast<double>(mean[c]) -
             static_cast<double>(quantized[row + c]) * static_cast<double>(quantized_mean[c]);
    if (!std::isfinite(sum))
      throw InputError("bias correction of channel " + std::to_string(row / k) + " is " + std::to_string(sum) +
                       "; weights and input means must be finite");
    out.push_back(static_cast<float>(sum));
  }
  return out;
}

double corrected_error(std::span<const float> correction) {
  double sum = 0;
  for (const float b : correction) sum += static_cast<double>(b) * static_cast<double>(b);
  return sum;
}

double expected_relu(double mean, double deviation, double cap) {
  assert(deviation >= 0 && cap >= 0);
  if (deviation == 0) return std::fmin(std::fmax(mean, 0), cap);
  const double a = -mean / deviation, c = (cap - mean) / deviation;
  const double above = std::isinf(cap) ? 0 : cap * (1 - distribution(c));
  return deviation * (density(a) - density(c)) + mean * (distribution(c) - distribution(a)) + above;
}

double variance_relu(double mean, double deviation, double cap) {
  assert(deviation >= 0 && cap >= 0);
  if (deviation == 0) return 0;
  const double a = -mean / deviation, c = (cap - mean) / deviation;
  const double inside = distribution(c) - distribution(a), drop = density(a) - density(c);
  const double edges = a * density(a) - (std::isinf(c) ? 0 : c * density(c));
  const double above = std::isinf(cap) ? 0 : cap * cap * (1 - distribution(c));
  const double square = (mean * mean + deviation * deviation) * inside + 2 * mean * deviation * drop +
                        deviation * deviation * edges + above;
  const double expected = expected_relu(mean, deviation, cap);
  return std::fmax(0, square - expected * expected);
}

double weight_gain(std::span<const float> weights, std::span<const float> quantized) {
  assert(weights.size() == quantized.size());
  double ww = 0, qw = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    ww += static_cast<double>(weights[i]) * static_cast<double>(weights[i]);
    qw += static_cast<double>(quantized[i]) * static_cast<double>(weights[i]);
  }
  const double gain = ww / qw;
  return qw > 0 && std::isnormal(gain) ? gain : 1;
}

std::vector<double> output_gains(const RoundingProblem& problem, std::span<const float> values) {
  // L(g w') - L(0) = g^2 w' G w'^T - 2 g w' C w^T; half the gradient of L at 0 is -C w^T, at w' it is w' G - C w^T.
  const LayerLoss loss(problem);
  std::vector<float> nothing(values.size()), at_zero(values.size()), at_values(values.size());
  loss.half_gradient(0, nothing, at_zero);
  loss.half_gradient(0, values, at_values);
  std::vector<double> out;
  const auto k = static_cast<std::size_t>(problem.columns);
  for (std::size_t row = 0; row < static_cast<std::size_t>(problem.rows); ++row) {
    double target = 0, power = 0;
    for (std::size_t i = row * k; i < (row + 1) * k; ++i) {
      target -= static_cast<double>(values[i]) * static_cast<double>(at_zero[i]);
      power += static_cast<double>(values[i]) * (static_cast<double>(at_values[i]) - static_cast<double>(at_zero[i]));
    }
    const double gain = target / power;
    out.push_back(power > 0 && std::isfinite(gain) ? gain : 1);
  }
  return out;
}

}  // namespace bitplan
