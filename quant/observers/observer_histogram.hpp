#pragma once

#include <algorithm>

#include "quant/observers/observer.hpp"
#include "quant/ranges/extremes.hpp"
#include "quant/ranges/histogram.hpp"

namespace bitplan {

/// What observers of a whole distribution have in common: a histogram, and the extreme values where they ask for them.
class HistogramBasedObserver : public Observer {
 public:
  explicit HistogramBasedObserver(int bins, int extremes = 0)
      : histogram_(bins), extremes_(static_cast<std::size_t>(extremes)) {}

  void observe(std::span<const float> values) final {
    histogram_.add(values);
    extremes_.add(values);
  }
  void merge(const Observer& later) final {
    const auto& other = dynamic_cast<const HistogramBasedObserver&>(later);
    histogram_.merge(other.histogram_);
    extremes_.merge(other.extremes_);
  }

 protected:
  const Histogram& histogram() const { return histogram_; }
  const Extremes& extremes() const { return extremes_; }

 private:
  Histogram histogram_;
  Extremes extremes_;
};

/// |x| <= t as a range: [-t, t], or when affine what was seen of it.
inline Range magnitude_range(Range seen, float t, bool symmetric) {
  if (symmetric) return {-t, t};
  return {std::max(seen.low, -t), std::min(seen.high, t)};
}

/// Whether all codes of the quantizer are spent on one side of 0.
inline bool is_one_sided(Range seen, bool symmetric) { return !symmetric && (seen.low >= 0 || seen.high <= 0); }

}  // namespace bitplan
