#include "quant/rewrites/smoothquant.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <string>

#include "core/error.hpp"

namespace bitplan {
namespace {

void check_maxima(std::span<const float> maxima, const char* what) {
  for (std::size_t i = 0; i < maxima.size(); ++i)
    if (!(maxima[i] >= 0) || !std::isfinite(maxima[i]))
      throw InputError("smoothquant: the largest magnitude of " + std::string(what) + " channel " + std::to_string(i) +
                       " is " + std::to_string(maxima[i]) + "; it must be finite and at least 0");
}

}  // namespace

std::vector<float> smoothquant_scales(std::span<const float> activation_max, std::span<const float> weight_max,
                                      double alpha) {
  assert(activation_max.size() == weight_max.size() && alpha >= 0 && alpha <= 1);
  check_maxima(activation_max, "input");
  check_maxima(weight_max, "weight");
  std::vector<float> out(activation_max.size(), 1.0F);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (activation_max[i] == 0 || weight_max[i] == 0) continue;
    const double scale = std::pow(static_cast<double>(activation_max[i]), alpha) /
                         std::pow(static_cast<double>(weight_max[i]), 1 - alpha);
    out[i] = static_cast<float>(std::clamp(scale, 1e-4, 1e4));
  }
  return out;
}

void add_column_maxima(std::span<const float> weights, std::span<float> maxima) {
  assert(!maxima.empty() && weights.size() % maxima.size() == 0);
  for (std::size_t i = 0; i < weights.size(); ++i)
    maxima[i % maxima.size()] = std::max(maxima[i % maxima.size()], std::abs(weights[i]));
}

std::vector<float> scaled_columns(std::span<const float> weights, std::span<const float> scales) {
  assert(!scales.empty() && weights.size() % scales.size() == 0);
  std::vector<float> out(weights.begin(), weights.end());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] *= scales[i % scales.size()];
  return out;
}

}  // namespace bitplan
