#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "quant/observers/even_cells.hpp"
#include "quant/observers/observer_histogram.hpp"
#include "quant/observers/observers.hpp"

namespace bitplan {
namespace {

constexpr double kClippedWeight = 3;  // gamma of AIMET

/// Scale and lowest code: x' = delta (offset + 0 … steps).
struct Candidate {
  double delta, offset;
};

/// All values at the centres of their cells.
class CentreError {
 public:
  CentreError(const EvenCells& cells, double steps) : steps_(steps) {
    for (std::size_t i = 0; i < cells.counts.size(); ++i) {
      if (cells.counts[i] == 0) continue;
      centres_.push_back(cells.edge(i) + cells.width / 2);
      counts_.push_back(cells.counts[i]);
    }
  }
  double operator()(const Candidate& c) const {
    double sum = 0;
    for (std::size_t i = 0; i < centres_.size(); ++i) {
      const double code = std::nearbyint(centres_[i] / c.delta - c.offset), used = std::clamp(code, 0.0, steps_);
      const double rest = (used + c.offset) * c.delta - centres_[i];
      sum += counts_[i] * rest * rest * (used == code ? 1 : kClippedWeight);
    }
    return sum;
  }

 private:
  double steps_;
  std::vector<double> centres_, counts_;
};

std::vector<Candidate> symmetric_candidates(Range seen, double steps) {
  const double widest = 2 * std::max(-static_cast<double>(seen.low), static_cast<double>(seen.high)) / steps;
  std::vector<Candidate> candidates;
  for (int k = 1; k <= 101; ++k) candidates.push_back({widest * k / 100, -std::ceil(steps / 2)});
  return candidates;
}

std::vector<Candidate> affine_candidates(Range seen, double steps) {
  const double widest = (static_cast<double>(seen.high) - seen.low) / steps;
  const double observed = std::nearbyint(seen.low / widest), low = widest * observed, high = low + widest * steps;
  const double offsets = std::min(steps + 2, 21.0) - 2, apart = steps / offsets;
  std::vector<Candidate> candidates;
  for (int k = 1; k <= 17; ++k)
    for (int o = 0; o <= static_cast<int>(offsets) + 1; ++o) {
      const bool last = o > static_cast<int>(offsets);
      const double delta = widest * k / 16, offset = last ? observed : std::nearbyint(o * apart - steps);
      const double from = std::max(low, delta * offset), to = std::min(high, delta * offset + delta * steps);
      if (to > from) candidates.push_back({(to - from) / steps, std::nearbyint(from / ((to - from) / steps))});
    }
  return candidates;
}

class SqnrObserver final : public HistogramBasedObserver {
 public:
  explicit SqnrObserver(int bins) : HistogramBasedObserver(bins, 2 * bins) {}
  Range range(int bits, bool symmetric, bool) const override {
    const Range seen = histogram().range();
    const EvenCells cells = even_cells(histogram(), extremes(), static_cast<std::size_t>(histogram().bins() / 2));
    if (cells.counts.empty()) return seen;
    const double steps = std::ldexp(1.0, bits) - 1;
    const CentreError error(cells, steps);
    Candidate best{};
    double least = std::numeric_limits<double>::infinity();
    for (const Candidate& candidate : symmetric ? symmetric_candidates(seen, steps) : affine_candidates(seen, steps)) {
      const double found = error(candidate);
      if (found < least) least = found, best = candidate;
    }
    // The symmetric grid has one code more below 0; its scale is that of [-t, t] with t at the highest code.
    const double high = best.delta * (best.offset + steps), low = symmetric ? -high : best.delta * best.offset;
    const auto narrowed = [](double value) {
      constexpr double kMost = std::numeric_limits<float>::max();
      return static_cast<float>(std::clamp(value, -kMost, kMost));
    };
    return {narrowed(low), narrowed(high)};
  }
};

}  // namespace

std::unique_ptr<Observer> make_sqnr_observer(const ObserverSpec& spec) {
  return std::make_unique<SqnrObserver>(spec.bins);
}

}  // namespace bitplan
