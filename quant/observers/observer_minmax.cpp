#include <algorithm>

#include "quant/observers/observers.hpp"

namespace bitplan {
namespace {

/// Keeps the range widened to contain 0, as every quantizer is.
class MinMaxObserver final : public Observer {
 public:
  void observe(std::span<const float> values) override { widen(range_of(values)); }
  void merge(const Observer& later) override { widen(dynamic_cast<const MinMaxObserver&>(later).range_); }
  Range range(int, bool, bool) const override { return range_; }

 private:
  void widen(Range range) { range_ = {std::min(range_.low, range.low), std::max(range_.high, range.high)}; }

  Range range_;
};

}  // namespace

std::unique_ptr<Observer> make_minmax_observer(const ObserverSpec&) { return std::make_unique<MinMaxObserver>(); }

}  // namespace bitplan
