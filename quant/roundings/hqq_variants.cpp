#include "quant/roundings/hqq_variants.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <string>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "quant/ranges/value_range.hpp"
#include "quant/roundings/hqq_step.hpp"

namespace bitplan {
namespace {

using Part = std::span<const float>;

struct Parts {
  std::span<const float> values;
  std::span<const std::int64_t> begins;
  std::size_t count() const { return begins.size() - 1; }
  Part operator[](std::size_t p) const {
    const auto begin = static_cast<std::size_t>(begins[p]);
    return values.subspan(begin, static_cast<std::size_t>(begins[p + 1]) - begin);
  }
};

HqqGrid start_grid(Part part, std::size_t index, int q_max, const HqqVariant& variant) {
  HqqGrid grid;
  grid.q_max = static_cast<float>(q_max);
  if (part.empty()) return grid;
  auto [low, high] = range_of(part);
  if (variant.start == HqqVariant::Start::with_zero) low = std::min(low, 0.0F), high = std::max(high, 0.0F);
  const float range = high - low;
  if (std::isinf(range))
    throw InputError("part " + std::to_string(index) +
                     " has a range beyond float32: this variant of HQQ divides by it");
  if (variant.start == HqqVariant::Start::capped) {
    grid.inverse = range <= 1e-4F ? 1.0F : std::min(grid.q_max / range, 2e4F);
    grid.scale = 1 / grid.inverse;
    grid.zero = -low * grid.inverse;
  } else {
    if (!(range > 0))
      throw InputError("part " + std::to_string(index) +
                       " has equal values: this variant of HQQ divides by their range");
    grid.scale = range / grid.q_max;
    grid.inverse = 1 / grid.scale;
    grid.zero = -low / grid.scale;
  }
  if (variant.round_zero) grid.zero = std::nearbyint(grid.zero);
  return grid;
}

/// Mean error of the codes of `start` on another 1 / s.
double error_with(Part part, const HqqGrid& start, float inverse) {
  double sum = 0;
  for (const float w : part) {
    const float q = std::nearbyint(std::clamp(w * start.inverse + start.zero, 0.0F, start.q_max));
    sum += std::abs(static_cast<double>(w - (q - start.zero) / inverse));
  }
  return sum;
}

/// v2's search over 1 / s, the reach being of all parts together.
void search_scales(const Parts& parts, std::vector<HqqGrid>& grids) {
  double mean = 0;
  for (const HqqGrid& grid : grids) mean += static_cast<double>(grid.inverse) / static_cast<double>(grids.size());
  for (std::size_t p = 0; p < grids.size(); ++p) {
    double least = HUGE_VAL;
    float best = grids[p].inverse;
    for (int i = 0; i < 129; ++i) {
      const float inverse = std::max(grids[p].inverse + static_cast<float>(0.05 * mean * (i / 64.0 - 1)), 2e-4F);
      const double error = error_with(parts[p], grids[p], inverse);
      if (error < least) least = error, best = inverse;
    }
    grids[p].inverse = best;
    grids[p].scale = 1 / best;
  }
}

/// One step of all parts: z moves in `grids`; the mean error before it comes back.
double step_all(const Parts& parts, const HqqVariant& variant, double beta, int threads, std::vector<HqqGrid>& grids) {
  constexpr std::size_t kTogether = 64;
  std::vector<double> errors(grids.size());
  parallel_for((grids.size() + kTogether - 1) / kTogether, threads, [&](std::size_t chunk, int) {
    for (std::size_t p = chunk * kTogether; p < std::min(grids.size(), (chunk + 1) * kTogether); ++p) {
      const HqqStep step = hqq_step(parts[p], grids[p], variant.p, beta);
      errors[p] = step.error;
      grids[p].zero = static_cast<float>(step.zero);
    }
  });
  double sum = 0;
  for (const double error : errors) sum += error;
  return sum / static_cast<double>(std::max<std::size_t>(1, parts.values.size()));
}

HqqResult result_of(const Parts& parts, const std::vector<HqqGrid>& grids) {
  HqqResult out;
  for (std::size_t p = 0; p < grids.size(); ++p) {
    out.scales.push_back(grids[p].scale);
    out.zero_points.push_back(grids[p].zero);
    for (const float w : parts[p]) {
      const float q = std::nearbyint(std::clamp(w * grids[p].inverse + grids[p].zero, 0.0F, grids[p].q_max));
      out.codes.push_back(static_cast<std::int16_t>(q));
      out.mean_abs_error += std::abs(static_cast<double>(w - (q - grids[p].zero) * grids[p].scale));
    }
  }
  out.mean_abs_error /= static_cast<double>(std::max<std::size_t>(1, parts.values.size()));
  return out;
}

float absmax(Part part) {
  float most = 0;
  for (const float w : part) most = std::max(most, std::abs(w));
  return most;
}

/// A grid of scale alone.
struct Symmetric {
  float scale, q_min, q_max;
  float code(float w) const { return std::clamp(std::nearbyint(w / scale), q_min, q_max); }
};

HqqResult result_of(const Parts& parts, const std::vector<Symmetric>& grids) {
  HqqResult out;
  for (std::size_t p = 0; p < grids.size(); ++p) {
    out.scales.push_back(grids[p].scale);
    out.zero_points.push_back(0);
    for (const float w : parts[p]) {
      const float q = grids[p].code(w);
      out.codes.push_back(static_cast<std::int16_t>(q));
      out.mean_abs_error += std::abs(static_cast<double>(w - q * grids[p].scale));
    }
  }
  out.mean_abs_error /= static_cast<double>(std::max<std::size_t>(1, parts.values.size()));
  return out;
}

/// The lower median of (w - e) / q; the scale itself when every code is 0 or the median is no scale.
float median_scale(Part part, const Symmetric& grid, double beta) {
  std::vector<float> ratios;
  for (const float w : part) {
    const float q = grid.code(w), e = w - q * grid.scale, size = std::abs(e);
    if (q == 0) continue;
    const double left = size > 0 ? static_cast<double>(size) - std::pow(static_cast<double>(size), -0.3) / beta : 0.0;
    ratios.push_back((w - std::copysign(static_cast<float>(std::max(left, 0.0)), e)) / q);
  }
  if (ratios.empty()) return grid.scale;
  const auto middle = ratios.begin() + static_cast<std::ptrdiff_t>((ratios.size() - 1) / 2);
  std::nth_element(ratios.begin(), middle, ratios.end());
  return std::isfinite(*middle) && *middle > 0 ? *middle : grid.scale;
}

}  // namespace

HqqResult hqq_variant(std::span<const float> values, std::span<const std::int64_t> begins, int q_max,
                      const HqqVariant& variant, int threads) {
  assert(!begins.empty() && begins.back() == static_cast<std::int64_t>(values.size()) && q_max >= 1);
  range_of(values);
  const Parts parts{values, begins};
  std::vector<HqqGrid> grids;
  for (std::size_t p = 0; p < parts.count(); ++p) grids.push_back(start_grid(parts[p], p, q_max, variant));
  if (variant.scale_grid) search_scales(parts, grids);
  if (!variant.optimize) return result_of(parts, grids);
  std::vector<HqqGrid> best = grids;
  double beta = variant.beta, least = HUGE_VAL;
  bool stopped = false;
  for (int i = 0; i < variant.iterations; ++i, beta *= variant.kappa) {
    const std::vector<HqqGrid> before = grids;
    const double error = step_all(parts, variant, beta, threads, grids);
    if (error < least) {
      least = error;
      best = before;
    } else if (variant.early_stop) {
      stopped = true;
      break;
    }
  }
  const bool take_best =
      variant.keep == HqqVariant::Keep::best || (stopped && variant.keep == HqqVariant::Keep::best_at_stop);
  return result_of(parts, take_best ? best : grids);
}

HqqResult torchao_scale(std::span<const float> values, std::span<const std::int64_t> begins, int bits) {
  assert(bits >= 2);
  range_of(values);
  const Parts parts{values, begins};
  const auto half = static_cast<float>(1 << (bits - 1));
  constexpr float least_scale = 1.1920929e-7F;
  std::vector<Symmetric> grids;
  for (std::size_t p = 0; p < parts.count(); ++p)
    grids.push_back({std::max(absmax(parts[p]) / half, least_scale), -half, half - 1});
  double change = 1;
  for (int i = 0; i < 20 && change >= 1e-5; ++i) {
    change = 0;
    for (std::size_t p = 0; p < grids.size(); ++p) {
      double wq = 0, qq = 0;
      for (const float w : parts[p]) {
        const double q = grids[p].code(w);
        wq += static_cast<double>(w) * q;
        qq += q * q;
      }
      const float scale = qq > 0 ? std::max(static_cast<float>(wq / qq), least_scale) : grids[p].scale;
      change = std::max(change, static_cast<double>(std::abs(scale - grids[p].scale) / grids[p].scale));
      grids[p].scale = scale;
    }
  }
  return result_of(parts, grids);
}

HqqResult brevitas_scale(std::span<const float> values, std::span<const std::int64_t> begins, int bits) {
  assert(bits >= 2);
  range_of(values);
  const Parts parts{values, begins};
  const auto q_max = static_cast<float>((1 << (bits - 1)) - 1);
  std::vector<Symmetric> grids, best;
  for (std::size_t p = 0; p < parts.count(); ++p) {
    const float most = absmax(parts[p]);
    grids.push_back({most > 0 ? most / q_max : 1.0F, -q_max, q_max});
  }
  double least = HUGE_VAL, beta = 1e5;
  for (int i = 0; i < 1000; ++i, beta *= 1.01) {
    const double error = result_of(parts, grids).mean_abs_error;
    if (!(error < least)) break;
    least = error;
    best = grids;
    for (std::size_t p = 0; p < grids.size(); ++p) grids[p].scale = median_scale(parts[p], grids[p], beta);
  }
  return result_of(parts, best.empty() ? grids : best);
}

}  // namespace bitplan
