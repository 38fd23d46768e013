#include "quant/roundings/hqq_step.hpp"

#include <algorithm>
#include <cmath>

#include "quant/math/vector_math.hpp"

namespace bitplan {
namespace {

constexpr std::size_t kLanes = 16, kRun = 4096;

struct Sums {
  float error[kLanes] = {}, squares[kLanes] = {}, zero[kLanes] = {}, most[kLanes] = {};
};

/// Adds n <= 16 values to the lanes.
template <bool shrinks>
BITPLAN_KERNEL void add_values(const float* w, std::size_t n, const HqqGrid& g, float power, float by_beta,
                               Sums& sums) {
  for (std::size_t l = 0; l < n; ++l) {
    const float position = w[l] * g.inverse;
    float t = position + g.zero;
    t = t < 0 ? 0.0F : t;
    t = t > g.q_max ? g.q_max : t;
    const float q = (t + kRounder) - kRounder, e = w[l] - (q - g.zero) * g.scale;
    const float size = e < 0 ? -e : e;
    sums.error[l] += size;
    sums.squares[l] += size * size;
    sums.most[l] = size > sums.most[l] ? size : sums.most[l];
    float zero = q - position;
    if constexpr (shrinks) {
      const float left = size - fast_pow(size, power) * by_beta, kept = left > 0 ? left : 0.0F;
      zero += (e < 0 ? -kept : kept) * g.inverse;
    }
    sums.zero[l] += zero;
  }
}

struct Totals {
  double error = 0, squares = 0, zero = 0;
  float most = 0;
};

template <bool shrinks>
BITPLAN_KERNEL void add_part(const float* w, std::size_t n, const HqqGrid& g, float power, float by_beta, Totals& out) {
  for (std::size_t run = 0; run < n; run += kRun) {
    const std::size_t end = std::min(n, run + kRun);
    Sums sums;
    std::size_t i = run;
    for (; i + kLanes <= end; i += kLanes) add_values<shrinks>(w + i, kLanes, g, power, by_beta, sums);
    add_values<shrinks>(w + i, end - i, g, power, by_beta, sums);
    for (std::size_t l = 0; l < kLanes; ++l) {
      out.error += static_cast<double>(sums.error[l]);
      out.squares += static_cast<double>(sums.squares[l]);
      out.zero += static_cast<double>(sums.zero[l]);
      out.most = std::max(out.most, sums.most[l]);
    }
  }
}

template <bool s>
void part_generic(const float* w, std::size_t n, const HqqGrid& g, float p, float b, Totals& out) {
  add_part<s>(w, n, g, p, b, out);
}
template <bool s>
BITPLAN_AVX2 void part_avx2(const float* w, std::size_t n, const HqqGrid& g, float p, float b, Totals& out) {
  add_part<s>(w, n, g, p, b, out);
}
template <bool s>
BITPLAN_AVX512 void part_avx512(const float* w, std::size_t n, const HqqGrid& g, float p, float b, Totals& out) {
  add_part<s>(w, n, g, p, b, out);
}

template <bool shrinks>
Totals totals(std::span<const float> part, const HqqGrid& grid, double p, double beta) {
  constexpr decltype(&part_generic<shrinks>) kernels[] = {part_generic<shrinks>, part_avx2<shrinks>,
                                                          part_avx512<shrinks>};
  Totals out;
  kernels[static_cast<std::size_t>(best_isa())](part.data(), part.size(), grid, static_cast<float>(p - 1),
                                                static_cast<float>(1 / beta), out);
  return out;
}

}  // namespace

HqqStep hqq_step(std::span<const float> part, const HqqGrid& grid, double p, double beta) {
  if (part.empty()) return {};
  const double zero_up_to = std::pow(beta, -1 / (2 - p));
  Totals sums = totals<false>(part, grid, p, beta);
  if (static_cast<double>(sums.most) > 0.999 * zero_up_to) sums = totals<true>(part, grid, p, beta);
  return {sums.error, sums.squares, sums.zero / static_cast<double>(part.size())};
}

HqqStep hqq_step_ref(std::span<const float> part, const HqqGrid& grid, double p, double beta) {
  HqqStep out;
  for (const float w : part) {
    const float q = std::nearbyint(std::clamp(w * grid.inverse + grid.zero, 0.0F, grid.q_max));
    const double e = w - (q - grid.zero) * grid.scale, size = std::abs(e);
    const double kept = size > 0 ? std::max(size - std::pow(size, p - 1) / beta, 0.0) : 0.0;
    out.error += size;
    out.squares += e * e;
    out.zero +=
        static_cast<double>(q) - (static_cast<double>(w) - std::copysign(kept, e)) * static_cast<double>(grid.inverse);
  }
  if (!part.empty()) out.zero /= static_cast<double>(part.size());
  return out;
}

}  // namespace bitplan
