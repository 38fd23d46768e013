#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "quant/observers/even_cells.hpp"
#include "quant/observers/observer_histogram.hpp"
#include "quant/observers/observers.hpp"

namespace bitplan {
namespace {

/// Integral of x^2 from a to b.
double cubes(double a, double b) { return (b * b * b - a * a * a) / 3; }

/// Trims cells from both ends. Lengths are in cells.
class TailSearch {
 public:
  TailSearch(const std::vector<double>& counts, int bits) : counts_(counts), levels_(std::ldexp(1.0, bits)) {
    for (const double count : counts_) sums_.push_back((sums_.empty() ? 0 : sums_.back()) + count);
  }

  struct Bins {
    int first, last;
  };
  Bins best() const {
    constexpr int kSteps = 100000;  // of the quantiles
    const double total = sums_.back();
    Bins kept{0, static_cast<int>(counts_.size()) - 1};
    double least = std::numeric_limits<double>::infinity();
    for (int below = 0, above = 0; below + above < kSteps;) {
      int first = kept.first, last = kept.last;
      while (first < kept.last && sum(first) < (below + 1) * total / kSteps) ++first;
      while (last > kept.first && sum(last) > (kSteps - above - 1) * total / kSteps) --last;
      Bins next = kept;
      if (first - kept.first > kept.last - last)
        next.first = first, ++below;
      else
        next.last = last, ++above;
      if (next.first == kept.first && next.last == kept.last) continue;
      const double found = error(next);
      if (found > least) break;
      least = found;
      kept = next;
    }
    return kept;
  }

 private:
  double sum(int bin) const { return sums_[static_cast<std::size_t>(bin)]; }

  /// L2 error of all values when the kept cells are cut into 2^b levels and each value goes to the centre of its level.
  double error(Bins kept) const {
    const double level = (kept.last - kept.first + 1) / levels_;
    const auto level_of = [&](double at) { return std::clamp(std::floor(at / level), 0.0, levels_ - 1); };
    double sum = 0;
    for (std::size_t bin = 0; bin < counts_.size(); ++bin) {
      if (counts_[bin] == 0) continue;
      const double begin = static_cast<double>(bin) - kept.first, end = begin + 1;
      const double first = level_of(begin), last = level_of(end);
      const double whole = (last - first - 1) * cubes(-level / 2, level / 2);
      sum += counts_[bin] *
             (cubes(begin - (first + 0.5) * level, level / 2) + whole + cubes(-level / 2, end - (last + 0.5) * level));
    }
    return sum;
  }

  const std::vector<double>& counts_;
  std::vector<double> sums_;
  double levels_;
};

class TorchHistogramObserver final : public HistogramBasedObserver {
 public:
  explicit TorchHistogramObserver(int bins) : HistogramBasedObserver(bins, 2 * bins) {}
  Range range(int bits, bool, bool) const override {
    const EvenCells cells = even_cells(histogram(), extremes(), static_cast<std::size_t>(histogram().bins() / 2));
    if (cells.counts.empty()) return histogram().range();
    const auto kept = TailSearch(cells.counts, bits).best();
    return {static_cast<float>(cells.edge(static_cast<std::size_t>(kept.first))),
            static_cast<float>(cells.edge(static_cast<std::size_t>(kept.last) + 1))};
  }
};

}  // namespace

std::unique_ptr<Observer> make_histogram_observer(const ObserverSpec& spec) {
  return std::make_unique<TorchHistogramObserver>(spec.bins);
}

}  // namespace bitplan
