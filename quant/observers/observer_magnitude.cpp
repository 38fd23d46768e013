#include <algorithm>
#include <span>

#include "quant/observers/observer_histogram.hpp"
#include "quant/observers/observers.hpp"
#include "quant/ranges/magnitude_search.hpp"

namespace bitplan {
namespace {

/// The smallest thresholds tried: one part in 16 of a one-sided histogram's bins, ModelOpt's 128 of 2048.
int first_bin_tried(const Histogram& histogram) { return histogram.bins() / 32; }

/// Bins of smaller magnitudes than any seen. They do not count as kept: of data in [2, 5] the threshold that keeps only
/// the bin at 2 would diverge by nothing, P and Q being one bin each. (ModelOpt's first thresholds keep no value at all
/// there, and it takes their 0 / 0 for the least divergence.)
int empty_bins(std::span<const std::int64_t> counts) {
  const auto filled = [](std::int64_t count) { return count > 0; };
  return static_cast<int>(std::find_if(counts.begin(), counts.end(), filled) - counts.begin());
}

/// Positive levels of the quantizer: 2^(b-1), or 2^b when none is spent on the other side.
int positive_levels(const Histogram& histogram, int bits, bool symmetric) {
  return 1 << (is_one_sided(histogram.range(), symmetric) ? bits : bits - 1);
}

/// t, cut to the largest magnitude seen.
Range of_threshold(const Histogram& histogram, double t, bool symmetric) {
  const Range seen = histogram.range();
  return magnitude_range(seen, std::min(static_cast<float>(t), std::max(-seen.low, seen.high)), symmetric);
}

class EntropyObserver final : public HistogramBasedObserver {
 public:
  using HistogramBasedObserver::HistogramBasedObserver;
  Range range(int bits, bool symmetric, bool) const override {
    const auto counts = magnitude_counts(histogram());
    const int kept = least_divergence_bins(counts, positive_levels(histogram(), bits, symmetric),
                                           empty_bins(counts) + first_bin_tried(histogram()));
    return of_threshold(histogram(), kept * histogram().bin_width(), symmetric);
  }
};

class MseModeloptObserver final : public HistogramBasedObserver {
 public:
  using HistogramBasedObserver::HistogramBasedObserver;
  Range range(int bits, bool symmetric, bool) const override {
    const int bin = least_error_bin(magnitude_counts(histogram()), positive_levels(histogram(), bits, symmetric) - 1,
                                    first_bin_tried(histogram()));
    return of_threshold(histogram(), (bin + 0.5) * histogram().bin_width(), symmetric);
  }
};

}  // namespace

std::unique_ptr<Observer> make_entropy_observer(const ObserverSpec& spec) {
  return std::make_unique<EntropyObserver>(spec.bins);
}
std::unique_ptr<Observer> make_mse_modelopt_observer(const ObserverSpec& spec) {
  return std::make_unique<MseModeloptObserver>(spec.bins);
}

}  // namespace bitplan
