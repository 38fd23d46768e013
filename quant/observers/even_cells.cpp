#include "quant/observers/even_cells.hpp"

#include <algorithm>

namespace bitplan {
namespace {

/// How many values are below v, for ascending v.
class Below {
 public:
  Below(const Histogram& histogram, const Extremes& extremes)
      : histogram_(histogram), lowest_(extremes.smallest()), highest_(extremes.largest()), bin_(histogram.first_bin()) {
    std::reverse(highest_.begin(), highest_.end());
    values_ = static_cast<double>(histogram.values());
  }

  double operator()(double v) {
    if (v <= lowest_.back())
      return static_cast<double>(std::lower_bound(lowest_.begin(), lowest_.end(), v) - lowest_.begin());
    if (v > highest_.front())
      return values_ - static_cast<double>(highest_.end() - std::lower_bound(highest_.begin(), highest_.end(), v));
    return in_bins(v);
  }

 private:
  double in_bins(double v) {
    const double width = histogram_.bin_width();
    while (bin_ < histogram_.last_bin() && (bin_ + 1) * width <= v) sum_ += histogram_.count(bin_++);
    const double part = std::clamp(v / width - bin_, 0.0, 1.0) * static_cast<double>(histogram_.count(bin_));
    return static_cast<double>(sum_) + part + (v > 0 ? static_cast<double>(histogram_.zeros()) : 0);
  }

  const Histogram& histogram_;
  std::vector<float> lowest_, highest_;  // ascending
  double values_ = 0;
  int bin_;
  std::int64_t sum_ = 0;  // values in bins before bin_
};

}  // namespace

EvenCells even_cells(const Histogram& histogram, const Extremes& extremes, std::size_t cells) {
  EvenCells even;
  if (histogram.values() == 0) return even;
  even.low = extremes.smallest().front();
  even.width = (static_cast<double>(extremes.largest().front()) - even.low) / static_cast<double>(cells);
  if (!(even.width > 0)) return even;
  Below below(histogram, extremes);
  double before = 0;
  for (std::size_t i = 1; i <= cells; ++i) {
    const double until = i == cells ? static_cast<double>(histogram.values()) : below(even.edge(i));
    even.counts.push_back(std::max(until - before, 0.0));
    before = std::max(until, before);
  }
  return even;
}

}  // namespace bitplan
