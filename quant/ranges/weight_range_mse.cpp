#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "quant/ranges/value_range.hpp"
#include "quant/ranges/weight_range.hpp"

namespace bitplan {
namespace {

constexpr int kRatios = 100;
constexpr double kSmallestRatio = 0.3;

constexpr double ratio(int index) { return 1 - (1 - kSmallestRatio) * (kRatios - 1 - index) / (kRatios - 1); }

/// The candidates of one part: index 0 clips most, kRatios - 1 nothing.
std::array<Affine, kRatios> candidates(std::span<const float> part, const Choice& choice) {
  const Range range = range_of(part);
  std::array<Affine, kRatios> grid;
  for (int i = 0; i < kRatios; ++i)
    grid[static_cast<std::size_t>(i)] =
        affine_from_range(static_cast<float>(range.low * ratio(i)), static_cast<float>(range.high * ratio(i)),
                          choice.bits, choice.symmetric, choice.narrow);
  return grid;
}

/// The definition of a candidate's error: that of fake_quantize_ref, summed in double in index order.
double squared_error(std::span<const float> part, const Affine& q) {
  const float inverse = 1 / q.scale;
  const auto low = static_cast<float>(q.q_min - q.zero_point), high = static_cast<float>(q.q_max - q.zero_point);
  double sum = 0;
  for (const float value : part) {
    const float quantized = q.scale * std::clamp(std::nearbyint(value * inverse), low, high);
    const double error = static_cast<double>(quantized) - value;
    sum += error * error;
  }
  return sum;
}

constexpr std::size_t kLanes = 16, kBlock = 512;  // floats summed side by side; floats before the lanes go to a double

/// Approximates squared_error of n <= kBlock values, n a multiple of kLanes. The quantized value and its difference to
/// the weight have one rounding each as in the definition, the square one more, and the sum has kBlock / kLanes + 4
/// additions: relative error below (3 + 36) 2^-24 < kBound.
constexpr double kBound = 4e-6;

BITPLAN_KERNEL double block_error(const Affine& q, const float* x, std::size_t n) {
  const float inverse = 1 / q.scale, scale = q.scale;
  const auto low = static_cast<float>(q.q_min - q.zero_point), high = static_cast<float>(q.q_max - q.zero_point);
  float lanes[kLanes] = {};
  for (std::size_t i = 0; i < n; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      float t = x[i + lane] * inverse;
      t = low > t ? low : t;
      t = high < t ? high : t;
      const float error = scale * ((t + kRounder) - kRounder) - x[i + lane];
      lanes[lane] += error * error;
    }
  }
  for (std::size_t half = kLanes / 2; half > 0; half /= 2)
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
}

/// Approximate error of all n values; stops when it passes `limit`.
BITPLAN_KERNEL double part_error(const Affine& q, const float* x, std::size_t n, double limit) {
  const std::size_t whole = n / kLanes * kLanes;
  double sum = 0;
  for (std::size_t i = 0; i < whole && sum <= limit; i += kBlock)
    sum += block_error(q, x + i, std::min(kBlock, whole - i));
  if (whole == n) return sum;
  float tail[kLanes] = {};  // zeros are exact in each candidate
  std::copy(x + whole, x + n, tail);
  return sum + block_error(q, tail, kLanes);
}

double part_error_generic(const Affine& q, const float* x, std::size_t n, double limit) {
  return part_error(q, x, n, limit);
}
BITPLAN_AVX2 double part_error_avx2(const Affine& q, const float* x, std::size_t n, double limit) {
  return part_error(q, x, n, limit);
}
BITPLAN_AVX512 double part_error_avx512(const Affine& q, const float* x, std::size_t n, double limit) {
  return part_error(q, x, n, limit);
}
constexpr decltype(&part_error_generic) kPartError[] = {part_error_generic, part_error_avx2, part_error_avx512};

/// Above `limit` no approximate error can belong to a ratio that is as good as one of approximate error `best`.
double limit_of(double best, std::size_t n) {
  const double underflow = static_cast<double>(n) * std::numeric_limits<float>::denorm_min();
  return best * (1 + 3 * kBound) + 2 * underflow;
}

/// Parts of fewer values have their candidates side by side, others their values: these would hardly fill the lanes.
constexpr std::size_t kFew = 64;

/// squared_error of every candidate.
BITPLAN_KERNEL void each_error(const std::array<Affine, kRatios>& grid, const float* x, std::size_t n, double* errors) {
  float scale[kRatios], inverse[kRatios], low[kRatios], high[kRatios];
  for (std::size_t i = 0; i < kRatios; ++i) {
    const Affine& q = grid[i];
    scale[i] = q.scale;
    inverse[i] = 1 / q.scale;
    low[i] = static_cast<float>(q.q_min - q.zero_point);
    high[i] = static_cast<float>(q.q_max - q.zero_point);
    errors[i] = 0;
  }
  for (std::size_t v = 0; v < n; ++v) {
    BITPLAN_NO_OVERLAP
    for (std::size_t i = 0; i < kRatios; ++i) {
      float t = x[v] * inverse[i];
      t = low[i] > t ? low[i] : t;
      t = high[i] < t ? high[i] : t;
      const double error = static_cast<double>(scale[i] * ((t + kRounder) - kRounder)) - static_cast<double>(x[v]);
      errors[i] += error * error;
    }
  }
}

void each_error_generic(const std::array<Affine, kRatios>& grid, const float* x, std::size_t n, double* errors) {
  each_error(grid, x, n, errors);
}
BITPLAN_AVX2 void each_error_avx2(const std::array<Affine, kRatios>& grid, const float* x, std::size_t n,
                                  double* errors) {
  each_error(grid, x, n, errors);
}
BITPLAN_AVX512 void each_error_avx512(const std::array<Affine, kRatios>& grid, const float* x, std::size_t n,
                                      double* errors) {
  each_error(grid, x, n, errors);
}
constexpr decltype(&each_error_generic) kEachError[] = {each_error_generic, each_error_avx2, each_error_avx512};

/// Candidates in the order of the search: some far apart, which bring a good limit, then the others.
constexpr std::array<int, kRatios> search_order() {
  constexpr int kStride = 11;
  std::array<int, kRatios> order{};
  std::size_t at = 0;
  for (int i = kRatios - 1; i >= 0; i -= kStride) order[at++] = i;
  for (int i = kRatios - 1; i >= 0; --i)
    if ((kRatios - 1 - i) % kStride != 0) order[at++] = i;
  return order;
}

/// The candidate of least error, of equal ones the one that clips least.
const Affine& least_of(const std::array<Affine, kRatios>& grid, const std::array<double, kRatios>& errors) {
  const auto least = std::min_element(errors.rbegin(), errors.rend());
  return *(grid.rbegin() + (least - errors.rbegin()));
}

}  // namespace

Affine mse_weight_quantizer_ref(std::span<const float> part, const Choice& choice) {
  const auto grid = candidates(part, choice);
  std::array<double, kRatios> errors;
  std::ranges::transform(grid, errors.begin(), [&](const Affine& q) { return squared_error(part, q); });
  return least_of(grid, errors);
}

Affine mse_weight_quantizer_on(Isa isa, std::span<const float> part, const Choice& choice) {
  if (part.size() < kFew) {
    const auto grid = candidates(part, choice);
    std::array<double, kRatios> errors;
    kEachError[static_cast<std::size_t>(isa)](grid, part.data(), part.size(), errors.data());
    return least_of(grid, errors);
  }
  const Range range = range_of(part);
  const float most = std::max(-range.low, range.high);
  // Beyond these the squares leave the range of floats.
  if (!(most > 1e-15F && most < 1e15F)) return mse_weight_quantizer_ref(part, choice);

  const auto grid = candidates(part, choice);
  const auto part_error_of = kPartError[static_cast<std::size_t>(isa)];
  std::array<double, kRatios> errors;
  double limit = std::numeric_limits<double>::infinity();
  constexpr auto kOrder = search_order();
  for (const int i : kOrder) {
    const auto at = static_cast<std::size_t>(i);
    errors[at] = part_error_of(grid[at], part.data(), part.size(), limit);
    limit = std::min(limit, limit_of(errors[at], part.size()));
  }
  double least = std::numeric_limits<double>::infinity();
  std::size_t best = kRatios - 1;
  const auto in_question = std::count_if(errors.begin(), errors.end(), [&](double error) { return error <= limit; });
  for (std::size_t i = kRatios; i-- > 0;) {
    if (errors[i] > limit) continue;
    if (in_question == 1) return grid[i];
    const double error = squared_error(part, grid[i]);
    if (error < least) least = error, best = i;
  }
  return grid[best];
}

Affine mse_weight_quantizer(std::span<const float> part, const Choice& choice) {
  return mse_weight_quantizer_on(best_isa(), part, choice);
}

}  // namespace bitplan
