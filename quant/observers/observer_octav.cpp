#include <algorithm>
#include <cmath>
#include <optional>

#include "quant/observers/observer_histogram.hpp"
#include "quant/observers/observers.hpp"
#include "quant/ranges/magnitude_search.hpp"

namespace bitplan {
namespace {

/// The fixed point among the largest magnitudes, `all` nonzero ones in total; nothing when more lie beyond it than are
/// given. With j values above s it is s_j = sum of those / (k (all - j) + j): the first s_j that reaches the next
/// value. At a value where the derivative changes sign the minimum is the value itself.
std::optional<double> clip_among(std::span<const float> descending, std::int64_t all, double k) {
  double sum = 0;
  for (std::size_t j = 0; j < descending.size(); ++j) {
    const auto above = static_cast<double>(j);
    if (j > 0) {
      const double s = sum / (k * (static_cast<double>(all) - above) + above);
      if (s >= descending[j]) return std::min(s, static_cast<double>(descending[j - 1]));
    }
    sum += descending[j];
  }
  // All are given: none is left below.
  if (static_cast<std::int64_t>(descending.size()) == all && all > 0) return descending.back();
  return std::nullopt;
}

/// The same among bins, the values of a bin spread evenly: half the derivative of the objective,
///   f(s) = s (k (all - above) + above) - sum of the values above,
/// is negative at the lower edge of the bin wanted, and f is bisected there.
double clip_among_bins(const Histogram& histogram, double k) {
  const auto counts = magnitude_counts(histogram);
  std::int64_t all = 0, beyond = 0;  // beyond: in bins farther out
  for (const std::int64_t count : counts) all += count;
  double sum = 0, width = histogram.bin_width();
  for (std::size_t bin = counts.size(); bin-- > 0;) {
    const double high = (static_cast<double>(bin) + 1) * width, density = static_cast<double>(counts[bin]) / width;
    const auto f = [&](double s) {
      const double above = static_cast<double>(beyond) + density * (high - s);
      return s * (k * (static_cast<double>(all) - above) + above) - sum - density * (high + s) / 2 * (high - s);
    };
    double low = high - width;
    if (f(low) <= 0) {
      double up = high;
      for (int step = 0; step < 40; ++step) (f((low + up) / 2) <= 0 ? low : up) = (low + up) / 2;
      return up;
    }
    sum += static_cast<double>(counts[bin]) * (high - width / 2);
    beyond += counts[bin];
  }
  return 0;
}

class OctavObserver final : public HistogramBasedObserver {
 public:
  explicit OctavObserver(int bins) : HistogramBasedObserver(bins, bins) {}
  Range range(int bits, bool symmetric, bool) const override {
    const Range seen = histogram().range();
    const double k = std::ldexp(1.0, -2 * bits) / (is_one_sided(seen, symmetric) ? 12 : 3);
    const std::int64_t nonzero = histogram().values() - histogram().zeros();
    const auto magnitudes = largest_magnitudes(extremes());
    const auto exact =
        clip_among(std::span(magnitudes).first(std::min(magnitudes.size(), extremes().kept())), nonzero, k);
    const double clip = exact ? *exact : clip_among_bins(histogram(), k);
    return magnitude_range(seen, std::min(static_cast<float>(clip), std::max(-seen.low, seen.high)), symmetric);
  }
};

}  // namespace

std::unique_ptr<Observer> make_octav_observer(const ObserverSpec& spec) {
  return std::make_unique<OctavObserver>(spec.bins);
}

}  // namespace bitplan
