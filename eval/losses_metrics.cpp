#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "eval/losses.hpp"

namespace bitplan {
namespace {

constexpr double kZ95 = 1.959963984540054;  ///< 97.5th percentile of the standard normal distribution
constexpr double kMostDecibel = 200;

Loss undefined() {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  return {nan, nan, nan};
}

/// z times the standard error of a mean from sum and sum of squares; infinite for one sample.
double half_width(double sum, double sum2, std::int64_t n) {
  if (n < 2) return std::numeric_limits<double>::infinity();
  const auto count = static_cast<double>(n);
  const double variance = std::max(0.0, (sum2 - sum * sum / count) / (count - 1));
  return kZ95 * std::sqrt(variance / count);
}

Loss mean(const LossSums& sums, double sum, double sum2, std::int64_t n) {
  if (sums.invalid > 0 || n == 0) return undefined();
  const double value = sum / static_cast<double>(n), half = half_width(sum, sum2, n);
  return {value, value - half, value + half};
}

/// Wilson, J. Am. Stat. Assoc. 22 (1927).
Loss rate(const LossSums& sums, std::int64_t hits, std::int64_t n) {
  if (sums.invalid > 0 || n == 0) return undefined();
  const auto k = static_cast<double>(hits), count = static_cast<double>(n);
  const double z2 = kZ95 * kZ95;
  const double centre = k + z2 / 2, half = kZ95 * std::sqrt(k * (count - k) / count + z2 / 4);
  return {k / count, std::max(0.0, (centre - half) / (count + z2)), std::min(1.0, (centre + half) / (count + z2))};
}

Loss kl(const LossSums& s) { return mean(s, s.kl, s.kl2, s.samples); }
Loss mse(const LossSums& s) { return mean(s, s.mse, s.mse2, s.samples); }
Loss cosine(const LossSums& s) { return mean(s, s.cosine, s.cosine2, s.samples); }
Loss nll(const LossSums& s) { return mean(s, s.nll, s.nll2, s.labelled); }
Loss top1(const LossSums& s) { return rate(s, s.top1, s.labelled); }
Loss top5(const LossSums& s) { return rate(s, s.top5, s.labelled); }
/// kl is NaN when the elements are no classes.
Loss agreement(const LossSums& s) { return std::isnan(s.kl) ? undefined() : rate(s, s.agree, s.samples); }

Loss sqnr_db(const LossSums& s) {
  if (s.invalid > 0 || s.samples == 0) return undefined();
  if (s.noise == 0) return {kMostDecibel, kMostDecibel, kMostDecibel};
  const double value = std::clamp(10 * std::log10(s.signal / s.noise), -kMostDecibel, kMostDecibel);
  const double mean_mse = s.mse / static_cast<double>(s.samples);
  const double half = 10 / std::log(10.0) * half_width(s.mse, s.mse2, s.samples) / mean_mse;
  return {value, value - half, value + half};
}

/// Every metric. A new one is a new row; the sums it needs stand in LossSums.
constexpr std::array kMetrics{
    Metric{"kl", "mean KL divergence of the candidate's softmax from the float network's, in nats", true, false, true,
           kl},
    Metric{"mse", "mean squared difference to the float network's output", true, false, false, mse},
    Metric{"sqnr_db", "energy of the float output over energy of the difference, in decibel", false, false, false,
           sqnr_db},
    Metric{"cosine", "mean cosine between candidate's and float network's output", false, false, false, cosine},
    Metric{"top1", "fraction of samples whose label is the largest class", false, true, true, top1},
    Metric{"top5", "fraction of samples whose label is among the five largest classes", false, true, true, top5},
    Metric{"nll", "mean negative log likelihood of the label, in nats", true, true, true, nll},
    Metric{"agreement", "fraction of samples whose largest class is the float network's", false, false, true,
           agreement},
};

}  // namespace

std::span<const Metric> metrics() { return kMetrics; }

const Metric& find_metric(std::string_view name) {
  std::string known;
  for (const auto& metric : kMetrics) {
    if (metric.name == name) return metric;
    known += (known.empty() ? "" : ", ") + std::string(metric.name);
  }
  throw InputError("'" + std::string(name) + "' is not a metric; known: " + known);
}

}  // namespace bitplan
