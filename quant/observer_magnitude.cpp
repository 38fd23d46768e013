#include <algorithm>

#include "quant/magnitude_search.hpp"
#include "quant/observer_histogram.hpp"
#include "quant/observers.hpp"

namespace bitplan {
namespace {

/// The smallest thresholds tried: one part in 16 of a one-sided histogram's bins, ModelOpt's 128 of 2048.
int first_bin_tried(const Histogram& histogram) { return histogram.bins() / 32; }

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
    const int kept = least_divergence_bins(magnitude_counts(histogram()), positive_levels(histogram(), bits, symmetric),
                                           first_bin_tried(histogram()));
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
