#include <algorithm>

#include "core/error.hpp"
#include "quant/histogram.hpp"
#include "quant/observers.hpp"

namespace bitplan {
namespace {

/// Bounds of the value that would stand at `index` were the observed values sorted.
Range nth_value(const Histogram& histogram, std::int64_t index) {
  std::int64_t seen = 0;
  for (int bin = histogram.first_bin(); bin <= histogram.last_bin(); ++bin) {
    if (bin == 0 && (seen += histogram.zeros()) > index) return {0, 0};
    if ((seen += histogram.count(bin)) > index) return histogram.edges(bin);
  }
  return {};
}

/// Upper bound of the index-th smallest magnitude: bins j and ~j lie equally far from zero.
float nth_magnitude(const Histogram& histogram, std::int64_t index) {
  const int last = std::max(~histogram.first_bin(), histogram.last_bin());
  std::int64_t seen = histogram.zeros();
  if (seen > index) return 0;
  for (int bin = 0; bin <= last; ++bin)
    if ((seen += histogram.count(bin) + histogram.count(~bin)) > index)
      return std::max(histogram.edges(bin).high, -histogram.edges(~bin).low);
  return 0;
}

class PercentileObserver final : public Observer {
 public:
  explicit PercentileObserver(double percentile) : percentile_(percentile) {}

  void observe(std::span<const float> values) override { histogram_.add(values); }
  void merge(const Observer& later) override {
    histogram_.merge(dynamic_cast<const PercentileObserver&>(later).histogram_);
  }
  Affine quantizer(int bits, bool symmetric, bool narrow) const override {
    const std::int64_t n = histogram_.values(), inside = values_inside(n, percentile_), below = (n - inside) / 2;
    Range range;
    if (n > 0 && symmetric) range.high = nth_magnitude(histogram_, inside - 1);
    if (n > 0 && !symmetric) range = {nth_value(histogram_, below).low, nth_value(histogram_, below + inside - 1).high};
    return affine_from_range(range.low, range.high, bits, symmetric, narrow);
  }

 private:
  double percentile_;
  Histogram histogram_;
};

}  // namespace

std::unique_ptr<Observer> make_percentile_observer(const ObserverSpec& spec) {
  if (!(spec.percentile >= 50 && spec.percentile <= 100)) throw InputError("percentile must be 50 to 100");
  return std::make_unique<PercentileObserver>(spec.percentile);
}

}  // namespace bitplan
