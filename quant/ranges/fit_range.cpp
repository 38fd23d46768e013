#include "quant/ranges/fit_range.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "quant/math/affine.hpp"
#include "quant/ranges/value_range.hpp"

namespace bitplan {
namespace {

constexpr int kIterations = 30;
constexpr double kStarts[] = {1, 0.9, 0.8, 0.72, 0.64, 0.57, 0.51, 0.45};
constexpr std::size_t kLanes = 16, kRun = 4096;

/// Of the nearest codes of one grid, u = q - q_min so that sums stay small.
struct FitSums {
  double error = 0, u = 0, uu = 0, wu = 0;
};

/// A grid as the kernel wants it.
struct Steps {
  float inverse, scale, zero, most;  ///< zero relative to q_min
};

struct Lanes {
  float error[kLanes] = {}, u[kLanes] = {}, uu[kLanes] = {}, wu[kLanes] = {};
};

/// Adds n <= 16 values to the lanes.
BITPLAN_KERNEL void add_values(const float* w, std::size_t n, const Steps& g, Lanes& sums) {
  for (std::size_t l = 0; l < n; ++l) {
    float t = w[l] * g.inverse + g.zero;
    t = t < 0 ? 0.0F : t;
    t = t > g.most ? g.most : t;
    const float u = (t + kRounder) - kRounder, e = (u - g.zero) * g.scale - w[l];
    sums.error[l] += e * e;
    sums.u[l] += u;
    sums.uu[l] += u * u;
    sums.wu[l] += u * w[l];
  }
}

BITPLAN_KERNEL void add_part(const float* w, std::size_t n, const Steps& g, FitSums& out) {
  for (std::size_t run = 0; run < n; run += kRun) {
    const std::size_t end = std::min(n, run + kRun);
    Lanes sums;
    std::size_t i = run;
    for (; i + kLanes <= end; i += kLanes) add_values(w + i, kLanes, g, sums);
    add_values(w + i, end - i, g, sums);
    for (std::size_t l = 0; l < kLanes; ++l) {
      out.error += static_cast<double>(sums.error[l]);
      out.u += static_cast<double>(sums.u[l]);
      out.uu += static_cast<double>(sums.uu[l]);
      out.wu += static_cast<double>(sums.wu[l]);
    }
  }
}

void part_generic(const float* w, std::size_t n, const Steps& g, FitSums& out) { add_part(w, n, g, out); }
BITPLAN_AVX2 void part_avx2(const float* w, std::size_t n, const Steps& g, FitSums& out) { add_part(w, n, g, out); }
BITPLAN_AVX512 void part_avx512(const float* w, std::size_t n, const Steps& g, FitSums& out) { add_part(w, n, g, out); }

bool usable(float scale) { return scale > 0 && std::isnormal(scale) && std::isfinite(1 / scale); }

int bits_of(const FitCodes& codes) { return std::bit_width(static_cast<unsigned>(codes.q_max - codes.q_min)); }

/// The values of a part, scaled so that their squares neither overflow nor vanish.
class PartFit {
 public:
  PartFit(Isa isa, std::span<const float> part, const FitCodes& codes) : isa_(isa), part_(part), codes_(codes) {
    for (const float w : part) sum_ += static_cast<double>(w);
  }

  FitGrid best() {
    const Range range = range_of(part_);
    const double most = std::max(-static_cast<double>(range.low), static_cast<double>(range.high));
    const double low = codes_.symmetric ? -most : std::min(0.0, static_cast<double>(range.low));
    const double high = codes_.symmetric ? most : std::max(0.0, static_cast<double>(range.high));
    const double steps = codes_.symmetric ? 2.0 * codes_.q_max : codes_.q_max - codes_.q_min;
    for (const double ratio : kStarts) {
      FitGrid grid{static_cast<float>((high - low) * ratio / steps), 0, codes_.q_min, codes_.q_max};
      if (!usable(grid.scale)) break;
      if (!codes_.symmetric)
        grid.zero = static_cast<float>(std::nearbyint(codes_.q_min - low * ratio / static_cast<double>(grid.scale)));
      descend(grid, !codes_.symmetric);
    }
    descend(best_, false);
    return best_;
  }

 private:
  void descend(FitGrid grid, bool with_zero) {
    double before = std::numeric_limits<double>::infinity();
    for (int i = 0; i < kIterations; ++i) {
      const FitSums now = sums(grid);
      if (now.error < least_) least_ = now.error, best_ = grid;
      if (!(now.error < before)) return;
      before = now.error;
      if (!least_squares(now, with_zero, grid)) return;
    }
  }

  FitSums sums(const FitGrid& grid) const {
    constexpr decltype(&part_generic) kernels[] = {part_generic, part_avx2, part_avx512};
    FitSums out;
    const Steps steps{1 / grid.scale, grid.scale, grid.zero - static_cast<float>(grid.q_min),
                      static_cast<float>(grid.q_max - grid.q_min)};
    kernels[static_cast<std::size_t>(isa_)](part_.data(), part_.size(), steps, out);
    return out;
  }

  /// s and z of least squared error for the codes; false when they determine none.
  bool least_squares(const FitSums& now, bool with_zero, FitGrid& grid) const {
    const auto n = static_cast<double>(part_.size());
    const double variance = n * now.uu - now.u * now.u, covariance = n * now.wu - sum_ * now.u;
    FitGrid next = grid;
    if (with_zero && variance > 0 && covariance > 0)
      next.zero = codes_.storable(codes_.q_min + now.u / n - sum_ / n * variance / covariance);
    const double zero = static_cast<double>(next.zero) - codes_.q_min;  // relative to u
    const double squares = now.uu - 2 * zero * now.u + n * zero * zero;
    next.scale = squares > 0 ? static_cast<float>((now.wu - zero * sum_) / squares) : 0.0F;
    if (!usable(next.scale)) return false;
    grid = next;
    return true;
  }

  Isa isa_;
  std::span<const float> part_;
  FitCodes codes_;
  double sum_ = 0, least_ = std::numeric_limits<double>::infinity();
  FitGrid best_;
};

}  // namespace

FitCodes FitCodes::of(int bits, bool symmetric, bool narrow) {
  const Affine codes = affine_from_range(0, 0, bits, symmetric, narrow);
  return {codes.q_min, codes.q_max, symmetric, std::ldexp(1.0F, -std::max(0, 7 - bits))};
}

float FitCodes::storable(double zero) const {
  const double within = std::clamp<double>(zero, q_min, q_max);
  return static_cast<float>(std::nearbyint(within / static_cast<double>(unit)) * static_cast<double>(unit));
}

FitGrid fit_range_on(Isa isa, std::span<const float> part, const FitCodes& codes) {
  FitGrid grid{1, 0, codes.q_min, codes.q_max};
  const Range range = range_of(part);
  if (part.empty() || (range.low == 0 && range.high == 0)) return grid;
  // In units of the largest value, a power of two: squares neither overflow nor vanish, and nothing is rounded.
  const int exponent = std::ilogb(std::max(-range.low, range.high));
  std::vector<float> scaled(part.size());
  for (std::size_t i = 0; i < part.size(); ++i) scaled[i] = std::ldexp(part[i], -exponent);
  FitGrid found = PartFit(isa, scaled, codes).best();
  found.q_min = codes.q_min, found.q_max = codes.q_max;
  const float steps =
      std::max(static_cast<float>(codes.q_max) - found.zero, found.zero - static_cast<float>(codes.q_min));
  found.scale = std::min(std::ldexp(found.scale, exponent), largest_scale(static_cast<std::int32_t>(std::ceil(steps))));
  if (usable(found.scale)) return found;
  const Affine whole = affine_from_range(std::min(range.low, 0.0F), std::max(range.high, 0.0F), bits_of(codes),
                                         codes.symmetric, codes.q_min + codes.q_max == 0);
  return {whole.scale, static_cast<float>(whole.zero_point), codes.q_min, codes.q_max};
}

FitGrid fit_range(std::span<const float> part, const FitCodes& codes) { return fit_range_on(best_isa(), part, codes); }

std::int32_t fit_code(const FitGrid& grid, float w) {
  const float low = static_cast<float>(grid.q_min), high = static_cast<float>(grid.q_max);
  return static_cast<std::int32_t>(std::nearbyint(std::clamp(w * (1 / grid.scale) + grid.zero, low, high)));
}

double fit_error(std::span<const float> part, const FitGrid& grid) {
  double sum = 0;
  for (const float w : part) {
    const double e =
        static_cast<double>(grid.scale) * (static_cast<double>(fit_code(grid, w)) - static_cast<double>(grid.zero)) -
        static_cast<double>(w);
    sum += e * e;
  }
  return sum;
}

}  // namespace bitplan
