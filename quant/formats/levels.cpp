#include "quant/formats/levels.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace bitplan {
namespace {

/// The largest float f such that t belongs to the lower level for each float t <= f.
float last_below(double bound, bool at_bound_up) {
  auto f = static_cast<float>(bound);
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  if (f > bound || (f == bound && at_bound_up)) f = std::nextafter(f, kLowest);
  return f;
}

std::vector<double> midpoints(std::span<const float> values) {
  std::vector<double> out;
  for (std::size_t i = 0; i + 1 < values.size(); ++i)
    out.push_back((static_cast<double>(values[i]) + values[i + 1]) / 2);
  return out;
}

}  // namespace

Levels::Levels(std::vector<float> values, std::vector<std::int16_t> codes, std::span<const double> bounds,
               const std::vector<bool>& at_bound_up)
    : values_(std::move(values)), codes_(std::move(codes)) {
  assert(!values_.empty() && codes_.size() == values_.size() && bounds.size() + 1 == values_.size());
  assert(std::is_sorted(values_.begin(), values_.end()) && at_bound_up.size() == bounds.size());
  for (std::size_t i = 0; i < bounds.size(); ++i) bounds_.push_back(last_below(bounds[i], at_bound_up[i]));
}

Levels Levels::nearest(std::vector<float> values, std::vector<std::int16_t> codes) {
  const std::vector<double> bounds = midpoints(values);
  std::vector<bool> up;
  for (std::size_t i = 0; i < bounds.size(); ++i) up.push_back(codes[i + 1] % 2 == 0);
  return {std::move(values), std::move(codes), bounds, up};
}

Levels Levels::away_from_zero() const {
  const std::vector<double> bounds = midpoints(values_);
  std::vector<bool> up;
  for (const double bound : bounds) up.push_back(bound > 0);
  return {values_, codes_, bounds, up};
}

std::size_t Levels::index(float t) const {
  // A binary search whose steps are additions, not branches: which way it goes is as good as random.
  const float* first = bounds_.data();
  std::size_t n = bounds_.size();
  while (n > 1) {
    const std::size_t half = n / 2;
    first += static_cast<std::size_t>(first[half - 1] < t) * half;
    n -= half;
  }
  return static_cast<std::size_t>(first - bounds_.data()) + static_cast<std::size_t>(n == 1 && *first < t);
}

void Grid::round(std::span<float> values, std::span<std::int16_t> codes) const {
  assert(values.size() == codes.size() && (!dither || dither->size() == values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float moved = dither ? (*dither)[i] : 0.0F;
    const std::size_t index = levels->index(scale == 0 ? 0.0F : values[i] / scale + moved);
    values[i] = scale == 0 ? 0.0F : value_at(index);
    codes[i] = levels->codes()[index];
  }
}

}  // namespace bitplan
