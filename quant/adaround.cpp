#include "quant/adaround.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

#include "quant/adam.hpp"
#include "quant/descent.hpp"
#include "quant/layer_loss.hpp"
#include "quant/vector_math.hpp"

namespace bitplan {
namespace {

constexpr float kGamma = -0.1F, kStretch = 1.2F;  // zeta - gamma, zeta = 1.1

BITPLAN_KERNEL float h_of(float v) {
  const float raw = kStretch * fast_sigmoid(v) + kGamma;
  const float above = raw < 0 ? 0.0F : raw;
  return above > 1 ? 1.0F : above;
}

/// A few rows of the problem by element: base = floor(w / s), the scale, and the bounds of codes without zero point.
struct Rows {
  std::vector<float> base, scale, unit;  // unit: 2 / u of the row
  std::vector<float> lowest, highest;    // q_min - z, q_max - z
};

/// w'(V) and h.
BITPLAN_KERNEL void soften(const Rows& rows, const float* v, float* h, float* values, std::size_t n) {
  const float *base = rows.base.data(), *scale = rows.scale.data();
  const float *lowest = rows.lowest.data(), *highest = rows.highest.data();
  BITPLAN_NO_OVERLAP
  for (std::size_t i = 0; i < n; ++i) {
    h[i] = h_of(v[i]);
    float level = base[i] + h[i];
    level = level < lowest[i] ? lowest[i] : level;
    level = level > highest[i] ? highest[i] : level;
    values[i] = scale[i] * level;
  }
}

/// d/dV of the objective into `slope`, which holds the half gradient g of L. dL/dV = 2 g s dh/dV where neither h nor
/// the code is clamped; sigmoid' = sigmoid (1 - sigmoid).
BITPLAN_KERNEL void slopes(const Rows& rows, const float* h, float* slope, std::size_t n, float lambda, float beta) {
  const float *base = rows.base.data(), *scale = rows.scale.data(), *unit = rows.unit.data();
  const float *lowest = rows.lowest.data(), *highest = rows.highest.data();
  BITPLAN_NO_OVERLAP
  for (std::size_t i = 0; i < n; ++i) {
    const float level = base[i] + h[i], sigmoid = (h[i] - kGamma) / kStretch;
    const float open = (h[i] > 0 ? 1.0F : 0.0F) * (h[i] < 1 ? 1.0F : 0.0F);
    const float inside = (level > lowest[i] ? 1.0F : 0.0F) * (level < highest[i] ? 1.0F : 0.0F);
    const float dh = open * kStretch * sigmoid * (1 - sigmoid), distance = 2 * h[i] - 1;
    const float far = distance < 0 ? -distance : distance;
    const float pull = 2 * lambda * beta * fast_pow(far, beta - 1);  // d/dh of -lambda |2h - 1|^beta, without its sign
    slope[i] = dh * (unit[i] * scale[i] * inside * slope[i] - (distance < 0 ? -pull : pull));
  }
}

using Soften = void (*)(const Rows&, const float*, float*, float*, std::size_t);
using Slopes = void (*)(const Rows&, const float*, float*, std::size_t, float, float);
void soften_generic(const Rows& r, const float* v, float* h, float* w, std::size_t n) { soften(r, v, h, w, n); }
BITPLAN_AVX2 void soften_avx2(const Rows& r, const float* v, float* h, float* w, std::size_t n) {
  soften(r, v, h, w, n);
}
BITPLAN_AVX512 void soften_avx512(const Rows& r, const float* v, float* h, float* w, std::size_t n) {
  soften(r, v, h, w, n);
}
void slopes_generic(const Rows& r, const float* h, float* s, std::size_t n, float l, float b) {
  slopes(r, h, s, n, l, b);
}
BITPLAN_AVX2 void slopes_avx2(const Rows& r, const float* h, float* s, std::size_t n, float l, float b) {
  slopes(r, h, s, n, l, b);
}
BITPLAN_AVX512 void slopes_avx512(const Rows& r, const float* h, float* s, std::size_t n, float l, float b) {
  slopes(r, h, s, n, l, b);
}
constexpr Soften kSoften[] = {soften_generic, soften_avx2, soften_avx512};
constexpr Slopes kSlopes[] = {slopes_generic, slopes_avx2, slopes_avx512};

Rows rows_of(const RoundingProblem& problem, std::int64_t first, std::int64_t count,
             std::span<const double> nearest_loss) {
  const RoundingGrid& grid = problem.grid;
  Rows rows;
  for (std::int64_t r = first; r < first + count; ++r) {
    const double loss = nearest_loss.empty() ? 0 : nearest_loss[static_cast<std::size_t>(r)];
    const double unit = loss > 0 ? 2 * static_cast<double>(problem.columns) / loss : 0;
    for (std::int64_t c = 0; c < problem.columns; ++c) {
      const std::size_t part = grid.part(r, c);
      rows.scale.push_back(grid.scales[part]);
      rows.base.push_back(
          std::floor(problem.weights[static_cast<std::size_t>(r * problem.columns + c)] / grid.scales[part]));
      rows.lowest.push_back(static_cast<float>(grid.q_min) - grid.zero_points[part]);
      rows.highest.push_back(static_cast<float>(grid.q_max) - grid.zero_points[part]);
      rows.unit.push_back(static_cast<float>(unit));
    }
  }
  return rows;
}

std::vector<float> start_of(const RoundingProblem& problem, std::int64_t first, const Rows& rows) {
  std::vector<float> v(rows.base.size());
  const float* weights = problem.weights.data() + first * problem.columns;
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = adaround_start(weights[i] / rows.scale[i] - rows.base[i]);
  return v;
}

/// Learns the rows first … and writes their codes.
void learn(const RoundingProblem& problem, const LayerLoss& loss, const AdaRoundSettings& settings, std::int64_t first,
           const Rows& rows, std::int16_t* codes) {
  const auto isa = static_cast<std::size_t>(best_isa());
  const std::size_t n = rows.base.size();
  std::vector<float> v = start_of(problem, first, rows), h(n), values(n), slope(n);
  Adam adam(n);
  for (int i = 0; i < settings.iterations; ++i) {
    const double beta = adaround_beta(settings, i);
    kSoften[isa](rows, v.data(), h.data(), values.data(), n);
    loss.half_gradient(first, values, slope);
    kSlopes[isa](rows, h.data(), slope.data(), n, beta > 0 ? static_cast<float>(settings.lambda) : 0.0F,
                 beta > 0 ? static_cast<float>(beta) : 2.0F);
    adam.step(v, slope, settings.rate);
  }
  for (std::size_t i = 0; i < n; ++i) {
    const float zero = problem.grid.zero_points[problem.grid.part(
        first + static_cast<std::int64_t>(i) / problem.columns, static_cast<std::int64_t>(i) % problem.columns)];
    const float code = std::nearbyint(rows.base[i] + (v[i] >= 0 ? 1.0F : 0.0F) + zero);
    codes[i] = static_cast<std::int16_t>(
        std::clamp(code, static_cast<float>(problem.grid.q_min), static_cast<float>(problem.grid.q_max)));
  }
}

}  // namespace

float adaround_start(float fraction) { return -std::log(kStretch / (fraction - kGamma) - 1); }

float adaround_h(float v) { return h_of(v); }

double adaround_beta(const AdaRoundSettings& settings, int iteration) {
  const double warm = settings.warm_start * settings.iterations;
  if (iteration < warm) return 0;
  const double done = (iteration - warm) / (settings.iterations - warm);
  return settings.beta_end + 0.5 * (settings.beta_start - settings.beta_end) * (1 + std::cos(done * std::numbers::pi));
}

double adaround_regulariser(std::span<const float> v, double beta) {
  double sum = 0;
  for (const float one : v) sum += 1 - std::pow(std::abs(2 * static_cast<double>(h_of(one)) - 1), beta);
  return sum;
}

float adaround_regulariser_slope(float v, float beta) {
  const Rows free{{0}, {0}, {0}, {0}, {0}};  // without a layer loss
  const float h = h_of(v);
  float slope = 0;
  slopes(free, &h, &slope, 1, 1, beta);
  return slope;
}

std::vector<float> adaround_values(const RoundingProblem& problem, std::span<const float> v) {
  assert(v.size() == problem.weights.size());
  const Rows rows = rows_of(problem, 0, problem.rows, {});
  std::vector<float> h(v.size()), values(v.size());
  soften(rows, v.data(), h.data(), values.data(), v.size());
  return values;
}

RoundedWeight round_adaround(const RoundingProblem& problem, const AdaRoundSettings& settings) {
  assert(!problem.gram.empty() && settings.iterations >= 0);
  check(problem);
  const LayerLoss loss(problem);
  const std::vector<double> nearest_loss = loss.of_rows(round_nearest(problem).values);
  std::vector<std::int16_t> codes(problem.weights.size());
  for_rows_together(problem, [&](std::int64_t first, std::int64_t count) {
    const Rows rows = rows_of(problem, first, count, nearest_loss);
    learn(problem, loss, settings, first, rows, codes.data() + first * problem.columns);
  });
  RoundedWeight out = rounded(problem, problem.grid, std::move(codes));
  if (settings.descend) out = descend(problem, loss, std::move(out));
  return accepted(problem, std::move(out));
}

RoundedWeight round_adaround(const RoundingProblem& problem) { return round_adaround(problem, {}); }

}  // namespace bitplan
