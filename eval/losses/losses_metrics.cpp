#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "eval/losses/losses.hpp"

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

/// `samples` have `n` positions together, of which `hits` count; sum2 adds the squares of each sample's fraction.
/// One position a sample: Wilson, J. Am. Stat. Assoc. 22 (1927). Several depend on each other: the samples' fractions.
Loss rate(const LossSums& sums, std::int64_t hits, std::int64_t n, std::int64_t samples, double sum2) {
  if (sums.invalid > 0 || n == 0) return undefined();
  const auto k = static_cast<double>(hits), count = static_cast<double>(n);
  if (n != samples) {
    const double value = k / count, half = half_width(value * static_cast<double>(samples), sum2, samples);
    return {value, std::max(0.0, value - half), std::min(1.0, value + half)};
  }
  const double z2 = kZ95 * kZ95;
  const double centre = k + z2 / 2, half = kZ95 * std::sqrt(k * (count - k) / count + z2 / 4);
  return {k / count, std::max(0.0, (centre - half) / (count + z2)), std::min(1.0, (centre + half) / (count + z2))};
}

/// Figures of classes are not there when the elements are none.
Loss of_classes(const LossSums& s, const Loss& loss) { return s.positions == 0 ? undefined() : loss; }

Loss kl(const LossSums& s) { return of_classes(s, mean(s, s.kl, s.kl2, s.samples)); }
Loss jsd(const LossSums& s) { return of_classes(s, mean(s, s.jsd, s.jsd2, s.samples)); }
Loss mse(const LossSums& s) { return mean(s, s.mse, s.mse2, s.samples); }
Loss cosine(const LossSums& s) { return mean(s, s.cosine, s.cosine2, s.samples); }
Loss nll(const LossSums& s) { return mean(s, s.nll, s.nll2, s.labelled); }
Loss top1(const LossSums& s) { return rate(s, s.top1, s.predictions, s.labelled, s.top1_2); }
Loss top5(const LossSums& s) { return rate(s, s.top5, s.predictions, s.labelled, s.top5_2); }
Loss agreement(const LossSums& s) { return of_classes(s, rate(s, s.agree, s.positions, s.samples, s.agree2)); }
Loss perplexity(const LossSums& s) {
  if (s.positions <= s.samples) return undefined();
  const Loss log = nll(s);
  return {std::exp(log.value), std::exp(log.low), std::exp(log.high)};
}

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
           false, kl},
    Metric{"jsd", "mean Jensen-Shannon divergence of the two softmaxes, in nats", true, false, true, false, jsd},
    Metric{"mse", "mean squared difference to the float network's output", true, false, false, false, mse},
    Metric{"sqnr_db", "energy of the float output over energy of the difference, in decibel", false, false, false,
           false, sqnr_db},
    Metric{"cosine", "mean cosine between candidate's and float network's output", false, false, false, false, cosine},
    Metric{"top1", "fraction of labels that are the largest class (of tokens: the next token)", false, true, true,
           false, top1},
    Metric{"top5", "fraction of labels that are among the five largest classes", false, true, true, false, top5},
    Metric{"nll", "mean negative log likelihood of the label (of tokens: the next token), in nats", true, true, true,
           false, nll},
    Metric{"perplexity", "exp(nll) of the next tokens", true, true, true, true, perplexity},
    Metric{"agreement", "fraction of positions whose largest class is the float network's", false, false, true, false,
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
