#include "quant/rewrites/equalisation.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <string>

#include "core/error.hpp"

namespace bitplan {
namespace {

void check_ranges(std::span<const float> ranges) {
  for (std::size_t i = 0; i < ranges.size(); ++i)
    if (!(ranges[i] >= 0) || !std::isfinite(ranges[i]))
      throw InputError("equalisation: the largest weight of channel " + std::to_string(i) + " is " +
                       std::to_string(ranges[i]) + "; it must be finite and at least 0");
}

/// A factor that floats and their reciprocals can hold; else 1.
float usable(double scale) {
  const auto out = static_cast<float>(scale);
  return std::isnormal(out) && std::isnormal(1 / out) ? out : 1.0F;
}

}  // namespace

std::vector<float> equalisation_scales(std::span<const float> r1, std::span<const float> r2) {
  assert(r1.size() == r2.size());
  check_ranges(r1);
  check_ranges(r2);
  std::vector<float> out;
  for (std::size_t i = 0; i < r1.size(); ++i)
    out.push_back(usable(std::sqrt(static_cast<double>(r1[i]) / static_cast<double>(r2[i]))));
  return out;
}

std::array<std::vector<float>, 2> equalisation_scales(std::span<const float> r1, std::span<const float> r2,
                                                      std::span<const float> r3) {
  assert(r1.size() == r2.size() && r2.size() == r3.size());
  for (const auto ranges : {r1, r2, r3}) check_ranges(ranges);
  std::array<std::vector<float>, 2> out;
  for (std::size_t i = 0; i < r1.size(); ++i) {
    const double common =
        std::cbrt(static_cast<double>(r1[i]) * static_cast<double>(r2[i]) * static_cast<double>(r3[i]));
    const float first = usable(static_cast<double>(r1[i]) / common),
                second = usable(common / static_cast<double>(r3[i]));
    const bool both = common > 0;
    out[0].push_back(both ? first : 1.0F);
    out[1].push_back(both ? second : 1.0F);
  }
  return out;
}

std::vector<float> channel_ranges(std::span<const float> weights, const ChannelBlock& view) {
  assert(weights.size() == view.outer * view.channels * view.inner);
  std::vector<float> out(view.channels);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    float& most = out[i / view.inner % view.channels];
    most = std::max(most, std::abs(weights[i]));
    if (std::isnan(weights[i])) most = weights[i];  // max drops NaN; equalisation_scales reports it
  }
  return out;
}

void multiply_channels(std::span<float> weights, const ChannelBlock& view, std::span<const float> factors) {
  assert(weights.size() == view.outer * view.channels * view.inner && factors.size() == view.channels);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] *= factors[i / view.inner % view.channels];
}

void divide_channels(std::span<float> weights, const ChannelBlock& view, std::span<const float> factors) {
  assert(weights.size() == view.outer * view.channels * view.inner && factors.size() == view.channels);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] /= factors[i / view.inner % view.channels];
}

}  // namespace bitplan
