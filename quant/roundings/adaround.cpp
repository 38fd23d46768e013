#include "quant/roundings/adaround.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

#include "quant/math/vector_math.hpp"
#include "quant/roundings/adam.hpp"
#include "quant/roundings/layer_loss.hpp"
#include "quant/roundings/learned_rows.hpp"

namespace bitplan {
namespace {

constexpr float kGamma = -0.1F, kStretch = 1.2F;  // zeta - gamma, zeta = 1.1

template <class T>
BITPLAN_KERNEL T h_of(T v) {
  return at_most(at_least(kStretch * fast_sigmoid(v) + kGamma, T{}), T{} + 1.0F);
}

/// A few rows of the problem by element: e = s clamp(h, low, high) + offset, offset = s floor(w / s) - w, low and high
/// what clamping of codes leaves of h, and the factor 2 s / u of the half gradient of L. Zeros fill up the last Floats.
struct Rows {
  std::vector<float> scale, offset, low, high, factor;
};

/// What is learned, by element of the same arrays. half: e G + d.
struct State {
  std::vector<float> v, h, error, half, m, variance;
  explicit State(std::size_t n) : v(n), h(n), error(n), half(n), m(n), variance(n) {}
};

/// h and e of V for the elements from i.
BITPLAN_KERNEL void soften(const Rows& rows, State& state, Floats v, std::size_t i) {
  const Floats h = h_of(v);
  const Floats part = at_most(at_least(h, load(&rows.low[i])), load(&rows.high[i]));
  store(h, &state.h[i]);
  store(load(&rows.scale[i]) * part + load(&rows.offset[i]), &state.error[i]);
}

/// d/dV of the objective. dL/dV = 2 g s dh/dV where neither h nor the code is clamped; sigmoid' = sigmoid (1 -
/// sigmoid); d/dh of -lambda |2h - 1|^beta is -sign(2h - 1) strength |2h - 1|^power, strength = 2 lambda beta, power =
/// beta - 1.
template <class T>
BITPLAN_KERNEL T slope_of(T h, T low, T high, T by_loss, float strength, float power) {
  const T one = T{} + 1.0F, sigmoid = (h - kGamma) * (1 / kStretch), distance = 2.0F * h - 1.0F;
  const T pull = strength * fast_pow(magnitude(distance), power);
  const T slope = where(less(low, h) & less(h, high), by_loss) - with_sign(pull, distance);
  return where(less(T{}, h) & less(h, one), slope * (kStretch * sigmoid * (1.0F - sigmoid)));
}

/// One iteration but for half: V by Adam, then h and e.
BITPLAN_KERNEL void advance(const Rows& rows, State& state, const AdamStep& adam, float strength, float power) {
  for (std::size_t i = 0; i < state.v.size(); i += kLanes) {
    const Floats by_loss = load(&rows.factor[i]) * load(&state.half[i]);
    const Floats slope = slope_of(load(&state.h[i]), load(&rows.low[i]), load(&rows.high[i]), by_loss, strength, power);
    Floats m = load(&state.m[i]), variance = load(&state.variance[i]);
    const Floats v = adam.advance(load(&state.v[i]), slope, m, variance);
    store(m, &state.m[i]), store(variance, &state.variance[i]), store(v, &state.v[i]);
    soften(rows, state, v, i);
  }
}

void advance_generic(const Rows& rows, State& state, const AdamStep& adam, float strength, float power) {
  advance(rows, state, adam, strength, power);
}
BITPLAN_AVX2 void advance_avx2(const Rows& rows, State& state, const AdamStep& adam, float strength, float power) {
  advance(rows, state, adam, strength, power);
}
BITPLAN_AVX512 void advance_avx512(const Rows& rows, State& state, const AdamStep& adam, float strength, float power) {
  advance(rows, state, adam, strength, power);
}
constexpr decltype(&advance_generic) kAdvance[] = {advance_generic, advance_avx2, advance_avx512};

/// floor(w / s) of an element.
float level_below(const RoundingProblem& problem, std::int64_t row, std::int64_t column) {
  return std::floor(problem.weights[static_cast<std::size_t>(row * problem.columns + column)] /
                    problem.grid.scales[problem.grid.part(row, column)]);
}

Rows rows_of(const RoundingProblem& problem, std::int64_t first, std::int64_t count,
             std::span<const double> nearest_loss) {
  const RoundingGrid& grid = problem.grid;
  Rows rows;
  for (std::int64_t r = first; r < first + count; ++r) {
    const double loss = nearest_loss.empty() ? 0 : nearest_loss[static_cast<std::size_t>(r)];
    const double unit = loss > 0 ? 2 * static_cast<double>(problem.columns) / loss : 0;
    for (std::int64_t c = 0; c < problem.columns; ++c) {
      const std::size_t part = grid.part(r, c);
      const float scale = grid.scales[part], zero = grid.zero_points[part], base = level_below(problem, r, c);
      rows.scale.push_back(scale);
      rows.offset.push_back(scale * base - problem.weights[static_cast<std::size_t>(r * problem.columns + c)]);
      rows.low.push_back(static_cast<float>(grid.q_min) - zero - base);
      rows.high.push_back(static_cast<float>(grid.q_max) - zero - base);
      rows.factor.push_back(static_cast<float>(unit) * scale);
    }
  }
  for (auto* values : {&rows.scale, &rows.offset, &rows.low, &rows.high, &rows.factor})
    values->resize(whole_lanes(values->size()));
  return rows;
}

State softened(const Rows& rows, std::span<const float> v) {
  State state(rows.scale.size());
  std::copy(v.begin(), v.end(), state.v.begin());
  for (std::size_t i = 0; i < state.v.size(); i += kLanes) soften(rows, state, load(&state.v[i]), i);
  return state;
}

/// The V at which w'(V) = w.
std::vector<float> start_of(const RoundingProblem& problem, std::int64_t first, std::int64_t count) {
  std::vector<float> v;
  for (std::int64_t r = first; r < first + count; ++r)
    for (std::int64_t c = 0; c < problem.columns; ++c) {
      const float steps = problem.weights[static_cast<std::size_t>(r * problem.columns + c)] /
                          problem.grid.scales[problem.grid.part(r, c)];
      v.push_back(adaround_start(steps - std::floor(steps)));
    }
  return v;
}

/// Learns the rows first … and writes their codes.
void learn(const RoundingProblem& problem, const LayerLoss& loss, const AdaRoundSettings& settings, std::int64_t first,
           std::int64_t count, std::span<const double> nearest_loss, std::span<std::int16_t> codes) {
  const auto advance_all = kAdvance[static_cast<std::size_t>(best_isa())];
  const Rows rows = rows_of(problem, first, count, nearest_loss);
  State state = softened(rows, start_of(problem, first, count));
  const std::span<const float> errors = std::span(state.error).first(codes.size());
  const std::span<float> half = std::span(state.half).first(codes.size());
  AdamClock clock;
  for (int i = 0; i < settings.iterations; ++i) {
    check_stop(problem);
    const double beta = adaround_beta(settings, i);
    loss.half_gradient_of_errors(first, errors, half);
    advance_all(rows, state, clock.next(settings.rate), static_cast<float>(2 * settings.lambda * beta),
                beta > 0 ? static_cast<float>(beta - 1) : 1.0F);
  }
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const std::int64_t row = first + static_cast<std::int64_t>(i) / problem.columns,
                       column = static_cast<std::int64_t>(i) % problem.columns;
    const float code = std::nearbyint(level_below(problem, row, column) + (state.v[i] >= 0 ? 1.0F : 0.0F) +
                                      problem.grid.zero_points[problem.grid.part(row, column)]);
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
  return slope_of(h_of(v), 0.0F, 1.0F, 0.0F, 2 * beta, beta - 1);  // without a layer loss
}

std::vector<float> adaround_values(const RoundingProblem& problem, std::span<const float> v) {
  assert(v.size() == problem.weights.size());
  std::vector<float> values = softened(rows_of(problem, 0, problem.rows, {}), v).error;
  values.resize(v.size());
  for (std::size_t i = 0; i < v.size(); ++i) values[i] += problem.weights[i];
  return values;
}

RoundedWeight round_adaround(const RoundingProblem& problem, const AdaRoundSettings& settings) {
  assert(!problem.gram.empty() && settings.iterations >= 0);
  check(problem);
  const LayerLoss loss(problem);
  const std::vector<double> nearest_loss = loss.of_rows(round_nearest(problem).values);
  return learn_rows(problem, loss, settings.descend, [&](std::int64_t first, std::int64_t count, RoundedWeight& out) {
    const auto columns = static_cast<std::size_t>(problem.columns);
    const std::span<std::int16_t> codes(out.codes);
    learn(problem, loss, settings, first, count, nearest_loss,
          codes.subspan(static_cast<std::size_t>(first) * columns, static_cast<std::size_t>(count) * columns));
  });
}

RoundedWeight round_adaround(const RoundingProblem& problem) {
  AdaRoundSettings settings;
  constexpr std::int64_t kSmall = 1 << 20, kFewColumns = 32;
  if (problem.columns > kFewColumns && problem.rows * problem.columns * problem.columns <= kSmall)
    settings.iterations = 2000;
  return round_adaround(problem, settings);
}

}  // namespace bitplan
