#include "quant/ranges/extremes.hpp"

#include <algorithm>
#include <cassert>
#include <functional>
#include <limits>

namespace bitplan {
namespace {

/// Drops all but the `kept` smallest, in any order.
void keep_smallest(std::vector<float>& values, std::size_t kept) {
  if (values.size() <= kept) return;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(kept - 1), values.end());
  values.resize(kept);
}

/// Appends sign x value where it may be among the `kept` smallest; at 2 kept candidates the larger half goes.
void add_smallest(std::vector<float>& candidates, std::span<const float> values, float sign, std::size_t kept) {
  constexpr float kAny = std::numeric_limits<float>::infinity();
  const auto bound_of = [&] {
    return candidates.size() >= kept ? *std::max_element(candidates.begin(), candidates.end()) : kAny;
  };
  float bound = bound_of();
  for (const float value : values) {
    if (!(sign * value < bound)) continue;
    candidates.push_back(sign * value);
    if (candidates.size() < 2 * kept) continue;
    keep_smallest(candidates, kept);
    bound = bound_of();
  }
  keep_smallest(candidates, kept);
  candidates.shrink_to_fit();  // many observers wait to be merged
}

std::vector<float> sorted(std::vector<float> values) {
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

void Extremes::add(std::span<const float> values) {
  if (kept_ == 0) return;
  add_smallest(low_, values, 1, kept_);
  add_smallest(high_, values, -1, kept_);
}

void Extremes::merge(const Extremes& other) {
  assert(kept_ == other.kept_);
  if (kept_ == 0) return;
  add_smallest(low_, other.low_, 1, kept_);
  add_smallest(high_, other.high_, 1, kept_);
}

std::vector<float> Extremes::smallest() const { return sorted(low_); }

std::vector<float> Extremes::largest() const {
  std::vector<float> values = sorted(high_);
  for (float& value : values) value = -value;
  return values;
}

std::vector<float> largest_magnitudes(const Extremes& extremes) {
  std::vector<float> magnitudes;
  for (const float value : extremes.smallest())
    if (value < 0) magnitudes.push_back(-value);
  for (const float value : extremes.largest())
    if (value > 0) magnitudes.push_back(value);
  std::sort(magnitudes.begin(), magnitudes.end(), std::greater<>());
  return magnitudes;
}

}  // namespace bitplan
