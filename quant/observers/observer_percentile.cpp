#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "quant/observers/observer_histogram.hpp"
#include "quant/observers/observers.hpp"

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

/// Indices of the values at the ends of an affine range, and of the magnitude that a symmetric one ends at.
struct Ranks {
  std::int64_t low, high, magnitude;
};

Ranks ranks_that_hold(std::int64_t n, double percentile) {
  const std::int64_t inside = values_inside(n, percentile), below = (n - inside) / 2;
  return {below, below + inside - 1, inside - 1};
}

Ranks nearest_ranks(std::int64_t n, double percentile) {
  // A relative 2^-40 keeps whole products whole, whatever their last bit is.
  const double count = static_cast<double>(n), tail = (1 - percentile / 100) / 2 * count;
  const auto nearest = [&](double rank) {
    return std::clamp(static_cast<std::int64_t>(std::floor(rank * (1 + 0x1p-40) + 0.5)), std::int64_t{1}, n) - 1;
  };
  const auto low = static_cast<std::int64_t>(std::ceil(tail * (1 - 0x1p-40)));
  return {std::max(low, std::int64_t{1}) - 1, nearest(count - tail), nearest(percentile / 100 * count)};
}

class PercentileObserver final : public HistogramBasedObserver {
 public:
  PercentileObserver(int bins, double percentile, Ranks (*ranks)(std::int64_t, double))
      : HistogramBasedObserver(bins, bins), percentile_(percentile), ranks_(ranks) {}

  Range range(int, bool symmetric, bool) const override {
    const std::int64_t n = histogram().values();
    if (n == 0) return {};
    const Ranks ranks = ranks_(n, percentile_);
    if (symmetric) return magnitude_range({}, magnitude(n - 1 - ranks.magnitude), true);
    return {low_end(ranks.low), high_end(n - 1 - ranks.high)};
  }

 private:
  /// The value that `below` values lie below.
  float low_end(std::int64_t below) const {
    if (!is_exact(below)) return nth_value(histogram(), below).low;
    return extremes().smallest()[static_cast<std::size_t>(below)];
  }
  float high_end(std::int64_t above) const {
    if (!is_exact(above)) return nth_value(histogram(), histogram().values() - 1 - above).high;
    return extremes().largest()[static_cast<std::size_t>(above)];
  }
  float magnitude(std::int64_t above) const {
    if (!is_exact(above)) return nth_magnitude(histogram(), histogram().values() - 1 - above);
    const auto magnitudes = largest_magnitudes(extremes());
    return static_cast<std::size_t>(above) < magnitudes.size() ? magnitudes[static_cast<std::size_t>(above)] : 0;
  }
  bool is_exact(std::int64_t outside) const { return outside < static_cast<std::int64_t>(extremes().kept()); }

  double percentile_;
  Ranks (*ranks_)(std::int64_t, double);
};

std::unique_ptr<Observer> make(const ObserverSpec& spec, Ranks (*ranks)(std::int64_t, double)) {
  if (!(spec.percentile >= 50 && spec.percentile <= 100)) throw InputError("percentile must be 50 to 100");
  return std::make_unique<PercentileObserver>(spec.bins, spec.percentile, ranks);
}

}  // namespace

std::unique_ptr<Observer> make_percentile_observer(const ObserverSpec& spec) { return make(spec, ranks_that_hold); }
std::unique_ptr<Observer> make_percentile_nearest_observer(const ObserverSpec& spec) {
  return make(spec, nearest_ranks);
}

}  // namespace bitplan
