#include "quant/roundings/power_exponent.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/parallel.hpp"
#include "quant/formats/power_levels.hpp"
#include "quant/ranges/value_range.hpp"
#include "quant/roundings/adam.hpp"
#include "quant/roundings/descent.hpp"
#include "quant/roundings/gptq_levels.hpp"
#include "quant/roundings/layer_loss.hpp"
#include "quant/roundings/level_rows.hpp"

namespace bitplan {
namespace {

double mapped(float w, double exponent) {
  const double size = std::pow(std::abs(static_cast<double>(w)), exponent);
  return w < 0 ? -size : size;
}

/// So that 8 bits hold it; searched_exponents() are hundredths, too.
double in_hundredths(double exponent) { return std::rint(100 * exponent) / 100; }

/// The levels of one row: the best code for a value is that of the nearest level, which is not always the code that the
/// quantizer gives it, whose bounds lie halfway between powers.
Levels nearest_levels(const RoundingProblem& problem, std::size_t row, int bits, double exponent) {
  const auto k = static_cast<std::size_t>(problem.columns);
  const Levels levels = power_levels(bits, exponent, absmax_of(problem.weights.subspan(row * k, k)));
  return Levels::nearest({levels.values().begin(), levels.values().end()},
                         {levels.codes().begin(), levels.codes().end()});
}

class PowerRow final : public RowLevels {
 public:
  explicit PowerRow(Levels levels) : levels_(std::move(levels)) {}
  std::int32_t nearest(std::int64_t, float x) const override { return levels_.codes()[levels_.index(x)]; }
  float value(std::int64_t, std::int32_t code) const override {
    return levels_.values()[static_cast<std::size_t>(code - levels_.codes().front())];
  }

 private:
  Levels levels_;
};

/// Codes of GPTQ for an exponent, in the rows that gain by it.
void sweep_codes(const RoundingProblem& problem, int bits, PowerQuantized& weight) {
  LevelRows rows;
  rows.rows = problem.rows;
  rows.columns = problem.columns;
  rows.weights.assign(problem.weights.begin(), problem.weights.end());
  for (std::size_t row = 0; row < static_cast<std::size_t>(problem.rows); ++row)
    rows.grids.push_back({std::make_shared<const Levels>(nearest_levels(problem, row, bits, weight.exponent)), 1});
  rows.grids_per_row = 1;
  rows.grid_of = neighbour_groups(problem.columns, 0);
  rows.nearest_values = weight.values;
  rows.nearest.codes = std::move(weight.codes);
  rows.nearest.values = std::move(weight.values);
  LayerMoments moments;
  moments.columns = problem.columns;
  moments.gram.emplace_back(problem.gram.begin(), problem.gram.end());
  if (!problem.cross.empty()) moments.cross.emplace_back(problem.cross.begin(), problem.cross.end());
  Choice choice;
  choice.family = FormatFamily::power;
  QuantizedWeight swept = gptq_levels(problem.weights, {1, problem.rows, problem.columns}, choice, rows, moments,
                                      {0.01, false, problem.threads});
  weight.codes = std::move(swept.codes);
  weight.values = std::move(swept.values);
}

/// The best codes for an exponent, given all others of the row.
void descend_codes(const RoundingProblem& problem, const LayerLoss& loss, int bits, PowerQuantized& weight) {
  const auto k = static_cast<std::size_t>(problem.columns);
  parallel_for(static_cast<std::size_t>(problem.rows), problem.threads, [&](std::size_t row, int) {
    const auto values = std::span(weight.values).subspan(row * k, k);
    std::vector<float> half(k);
    loss.half_gradient(static_cast<std::int64_t>(row), values, half);
    descend_row(problem, PowerRow(nearest_levels(problem, row, bits, weight.exponent)),
                std::span(weight.codes).subspan(row * k, k), values, half);
  });
}

double slope_of(const RoundingProblem& problem, const LayerLoss& loss, const PowerQuantized& at) {
  const auto k = static_cast<std::size_t>(problem.columns);
  std::vector<float> half(at.values.size());
  loss.half_gradient(0, at.values, half);
  double sum = 0;
  for (std::size_t i = 0; i < half.size(); ++i) {
    if (at.codes[i] == 0) continue;
    const std::size_t row = i / k;
    const auto weights = problem.weights.subspan(row * k, k);
    const double scale = at.scales[row], log_most = std::log(static_cast<double>(absmax_of(weights)));
    const double y = mapped(problem.weights[i], at.exponent), u = std::abs(at.codes[i]) * scale;
    const double log_w = y == 0 ? 0.0 : std::log(std::abs(static_cast<double>(problem.weights[i])));
    const double sign = at.codes[i] < 0 ? -1 : 1;
    const double u_slope = sign * (y * log_w + (at.codes[i] - y / scale) * scale * log_most);
    const double a = at.exponent;
    sum += 2 * static_cast<double>(half[i]) * static_cast<double>(at.values[i]) *
           (u_slope / (a * u) - std::log(u) / (a * a));
  }
  return sum;
}

}  // namespace

PowerQuantized power_quantize(std::span<const float> weights, std::int64_t rows, int bits, double exponent) {
  assert(bits >= 2 && bits <= 8 && exponent > 0);
  range_of(weights);
  const std::int32_t q_max = (1 << (bits - 1)) - 1;
  PowerQuantized out{exponent, {}, std::vector<std::int16_t>(weights.size()), std::vector<float>(weights.size())};
  const std::size_t k = rows == 0 ? 0 : weights.size() / static_cast<std::size_t>(rows);
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
    const float most = absmax_of(weights.subspan(row * k, k));
    const double scale = most > 0 ? mapped(most, exponent) / q_max : 1.0;
    out.scales.push_back(scale);
    const std::span row_values = std::span(out.values).subspan(row * k, k);
    std::copy_n(weights.begin() + static_cast<std::ptrdiff_t>(row * k), k, row_values.begin());
    const Grid grid{std::make_shared<const Levels>(power_levels(bits, exponent, most)), 1};
    grid.round(row_values, std::span(out.codes).subspan(row * k, k));
  }
  return out;
}

std::vector<double> power_errors(std::span<const float> weights, std::int64_t rows, int bits,
                                 std::span<const double> exponents) {
  std::vector<double> out;
  for (const double exponent : exponents) {
    const PowerQuantized q = power_quantize(weights, rows, bits, exponent);
    double sum = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double error = static_cast<double>(q.values[i]) - static_cast<double>(weights[i]);
      sum += error * error;
    }
    out.push_back(sum);
  }
  return out;
}

double power_search(std::span<const float> weights, std::int64_t rows, int bits) {
  const auto exponents = searched_exponents();
  const std::vector<double> errors = power_errors(weights, rows, bits, exponents);
  return exponents[static_cast<std::size_t>(std::min_element(errors.begin(), errors.end()) - errors.begin())];
}

double power_slope(const RoundingProblem& problem, int bits, double exponent) {
  return slope_of(problem, LayerLoss(problem), power_quantize(problem.weights, problem.rows, bits, exponent));
}

PowerRounded round_power(const RoundingProblem& problem, int bits, int iterations) {
  assert(!problem.gram.empty());
  const LayerLoss loss(problem);
  const auto quantized = [&](double exponent) {
    check_stop(problem);
    return power_quantize(problem.weights, problem.rows, bits, exponent);
  };
  PowerRounded best{quantized(power_search(problem.weights, problem.rows, bits)), 0, 0};
  best.loss = best.start_loss = loss.of(best.weight.values);
  const auto offer = [&](PowerQuantized weight) {
    const double now = loss.of(weight.values);
    if (now < best.loss) best.loss = now, best.weight = std::move(weight);
  };
  for (const double exponent : searched_exponents()) offer(quantized(exponent));
  auto log_exponent = static_cast<float>(std::log(best.weight.exponent));
  Adam adam(1);
  PowerQuantized now = best.weight;
  const auto slope_now = [&] { return static_cast<float>(slope_of(problem, loss, now) * now.exponent); };
  float slope = slope_now();
  for (int i = 0; i < iterations && std::isfinite(slope); ++i) {
    adam.step({&log_exponent, 1}, {&slope, 1}, 0.01 * (1 - static_cast<double>(i) / iterations));
    log_exponent = std::clamp(log_exponent, std::log(0.1F), std::log(2.0F));
    const double exponent = in_hundredths(std::exp(static_cast<double>(log_exponent)));
    if (exponent == now.exponent) continue;
    now = quantized(exponent);
    slope = slope_now();
    offer(now);
  }
  PowerQuantized learned = best.weight;
  sweep_codes(problem, bits, learned);
  descend_codes(problem, loss, bits, learned);
  offer(std::move(learned));
  return best;
}

}  // namespace bitplan
