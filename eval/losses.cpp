#include "eval/losses.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

namespace bitplan {
namespace {

bool all_finite(std::span<const float> values) {
  // All exponent bits set means NaN or infinite; integers, so that the loop vectorises.
  constexpr std::uint32_t exponent = 0x7f800000;
  std::uint32_t bad = 0;
  for (const float v : values) bad |= (std::bit_cast<std::uint32_t>(v) & exponent) == exponent ? 1 : 0;
  return bad == 0;
}

/// Counts the sample; says whether its figures count too.
bool count_sample(LossSums& sums, std::span<const float> reference, std::span<const float> output) {
  assert(!output.empty() && reference.size() == output.size());
  ++sums.samples;
  const bool valid = all_finite(reference) && all_finite(output);
  sums.invalid += valid ? 0 : 1;
  return valid;
}

/// Number of elements that rank before `index`: larger, or equal with a smaller index.
std::int64_t rank_of(std::span<const float> values, std::size_t index) {
  const float own = values[index];
  std::int64_t before = 0;
  for (std::size_t c = 0; c < index; ++c) before += values[c] >= own ? 1 : 0;
  for (std::size_t c = index + 1; c < values.size(); ++c) before += values[c] > own ? 1 : 0;
  return before;
}

/// log sum_c exp(v_c), the largest taken out first.
double log_sum_exp(std::span<const float> values) {
  const double top = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (const float v : values) sum += std::exp(v - top);
  return top + std::log(sum);
}

/// With e_c = exp(z_c - max z), S = sum_c e_c:
///   sum_c p_c (log p_c - log q_c) = sum_c e_c (z_c - y_c) / S + log sum exp y - log sum exp z
double kl_divergence(std::span<const float> z, std::span<const float> y, double log_sum_exp_y) {
  const double top = *std::max_element(z.begin(), z.end());
  double sum = 0, weighted = 0;
  for (std::size_t c = 0; c < z.size(); ++c) {
    const double e = std::exp(z[c] - top);
    sum += e;
    weighted += e * (static_cast<double>(z[c]) - static_cast<double>(y[c]));
  }
  return weighted / sum + (log_sum_exp_y - (top + std::log(sum)));
}

void add_distances(LossSums& sums, std::span<const float> z, std::span<const float> y) {
  double zz = 0, yy = 0, zy = 0, noise = 0;
  for (std::size_t c = 0; c < z.size(); ++c) {
    const double a = z[c], b = y[c], d = b - a;
    zz += a * a;
    yy += b * b;
    zy += a * b;
    noise += d * d;
  }
  const double mse = noise / static_cast<double>(z.size());
  const double cosine = zz == 0 && yy == 0 ? 1 : zz == 0 || yy == 0 ? 0 : zy / (std::sqrt(zz) * std::sqrt(yy));
  sums.mse += mse;
  sums.mse2 += mse * mse;
  sums.cosine += cosine;
  sums.cosine2 += cosine * cosine;
  sums.signal += zz;
  sums.noise += noise;
}

}  // namespace

void LossSums::add(const LossSums& later) {
  samples += later.samples;
  invalid += later.invalid;
  labelled += later.labelled;
  top1 += later.top1;
  top5 += later.top5;
  agree += later.agree;
  kl += later.kl;
  kl2 += later.kl2;
  mse += later.mse;
  mse2 += later.mse2;
  cosine += later.cosine;
  cosine2 += later.cosine2;
  nll += later.nll;
  nll2 += later.nll2;
  signal += later.signal;
  noise += later.noise;
}

void add_values(LossSums& sums, std::span<const float> reference, std::span<const float> output) {
  if (!count_sample(sums, reference, output)) return;
  add_distances(sums, reference, output);
  sums.kl = sums.kl2 = std::numeric_limits<double>::quiet_NaN();
}

void add_sample(LossSums& sums, std::span<const float> reference, std::span<const float> output, std::int64_t label) {
  assert(label < static_cast<std::int64_t>(output.size()));
  if (!count_sample(sums, reference, output)) return;
  add_distances(sums, reference, output);
  const double total = log_sum_exp(output);
  const double kl = kl_divergence(reference, output, total);
  sums.kl += kl;
  sums.kl2 += kl * kl;
  const auto largest = [](std::span<const float> v) { return std::max_element(v.begin(), v.end()) - v.begin(); };
  sums.agree += largest(reference) == largest(output) ? 1 : 0;
  if (label < 0) return;
  const auto index = static_cast<std::size_t>(label);
  const auto rank = rank_of(output, index);
  const double nll = total - output[index];
  ++sums.labelled;
  sums.top1 += rank < 1 ? 1 : 0;
  sums.top5 += rank < 5 ? 1 : 0;
  sums.nll += nll;
  sums.nll2 += nll * nll;
}

double round_to_grid(double loss) {
  if (!std::isfinite(loss)) return loss;
  int exponent = 0;
  const double mantissa = std::frexp(loss, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(mantissa, 20)), exponent - 20);
}

double objective_loss(const Metric& metric, const LossSums& sums) {
  const double value = metric.value(sums).value;
  // 0 - value, so that a maximized 0 is 0 and not -0.
  return round_to_grid(metric.minimize ? value : 0 - value);
}

}  // namespace bitplan
